package notify_test

import (
	"sync"
	"testing"

	"ingot.dev/ingot/metal-controller/notify"
)

func signalled(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestHub(t *testing.T) {
	var h notify.Hub
	h.Changed("nobody listens")
	a, stopA := h.Subscribe("a")
	all, stopAll := h.Subscribe(notify.All)
	h.Changed("a")
	h.Changed("a")
	if !signalled(a) || signalled(a) || !signalled(all) || signalled(all) {
		t.Error("two changes are not one signal to each")
	}
	h.Changed("b")
	if signalled(a) || !signalled(all) {
		t.Error("a change of b is told to a, or not to all")
	}
	h.Changed(notify.All)
	if signalled(a) || !signalled(all) {
		t.Error("all is not told once")
	}
	stopA()
	stopAll()
	h.Changed("a")
	if signalled(a) || signalled(all) {
		t.Error("a subscription goes on after its end")
	}
	stopA() // twice does no harm
}

func TestHubConcurrent(t *testing.T) {
	var h notify.Hub
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				c, stop := h.Subscribe("k")
				h.Changed("k")
				if !signalled(c) {
					t.Error("own change not seen")
				}
				stop()
			}
		})
	}
	wg.Wait()
}
