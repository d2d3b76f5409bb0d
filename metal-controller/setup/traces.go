package setup

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"ingot.dev/ingot/metal-controller/reconcilers/timeline"
	"ingot.dev/ingot/metal-controller/traces"
)

// lastTraces is how long the end of the program waits for a collector.
const lastTraces = 3 * time.Second

// addTraces sends boots to OpenTelemetry, if its environment variables name a collector.
func (a *app) addTraces(ctx context.Context) error {
	out, err := traces.FromEnv(ctx)
	if err != nil || out == nil {
		return err
	}
	log := a.cfg.Log.WithName("traces")
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Info("Traces do not reach their collector: " + err.Error()) })) // one handler for the whole process
	end := manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTraces)
		defer cancel()
		if err := out.Close(last); err != nil { // nobody restarts Ingot for a trace
			log.Info(err.Error())
		}
		return nil
	})
	if err := a.manager.Add(end); err != nil {
		return err
	}
	return (&timeline.Reconciler{Client: a.manager.GetClient(), Out: out, Now: a.cfg.Now, Since: a.cfg.Now()}).SetupWithManager(a.manager)
}
