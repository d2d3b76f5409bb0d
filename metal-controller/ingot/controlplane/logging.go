package controlplane

import (
	"io"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// redirectLogs sends what the Kubernetes libraries log to w. Their logger is one per process: that is theirs, not ours to change.
func redirectLogs(w io.Writer) {
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(w)))
	klog.SetLoggerWithOptions(logger, klog.ContextualLogger(true))
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // the server would warn itself about its own requests
}
