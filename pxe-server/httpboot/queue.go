package httpboot

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Report sends events to the controller.
type Report func(context.Context, []*protocol.BootEvent) error

// Waits between tries when the controller does not take events.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
	reportTime  = 10 * time.Second
)

// send queues a copy of the boot's event with some of its stages. The lock is held.
func (e *Events) send(b *seen, stages []*protocol.Stage) {
	ev := proto.CloneOf(b.sent)
	ev.Stages = slices.Clone(stages)
	e.enqueue(ev)
}

// enqueue puts an event last. A full queue drops the oldest hint and counts it. The lock is held.
func (e *Events) enqueue(ev *protocol.BootEvent) {
	e.queue = append(e.queue, ev)
	e.changes++
	e.shrink()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Dropped counts the events that did not reach the controller since the queue was full.
func (e *Events) Dropped() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

// Limited is what Scripts counts those under that were not made.
const Limited = "Limited"

// count counts a script that was asked for.
func (e *Events) count(target string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scripts[target]++
}

// Scripts counts the scripts that were asked for, by their target.
func (e *Events) Scripts() map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.scripts)
}

// Waiting are the events that the controller has not taken yet, and a number that is another one whenever they are others. Nobody may change them.
func (e *Events) Waiting() (events []*protocol.BootEvent, change uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.sending, e.queue), e.changes
}

// Restore queues events of before this start, ahead of all others. The queue's bound holds.
func (e *Events) Restore(events []*protocol.BootEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = slices.Concat(events, e.queue)
	e.changes++
	e.shrink()
}

// Run reports events in batches until ctx ends. While the controller does not take them they wait, up to the queue's bound.
func (e *Events) Run(ctx context.Context, report Report) error {
	wait := firstWait
	for {
		batch := e.take()
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-e.wake:
			}
			continue
		}
		if e.try(ctx, report, batch) {
			e.taken()
			wait = firstWait
			continue
		}
		e.putBack(batch)
		if !pace.Pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, longestWait)
	}
}

func (e *Events) try(ctx context.Context, report Report, batch []*protocol.BootEvent) bool {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	return report(ctx, batch) == nil
}

func (e *Events) take() []*protocol.BootEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.queue), maxBatch)
	batch := slices.Clone(e.queue[:n])
	e.queue = slices.Delete(e.queue, 0, n)
	e.sending = batch
	return batch
}

// taken notes that the batch reached the controller.
func (e *Events) taken() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sending = nil
	e.changes++
}

// putBack keeps the order and the bound.
func (e *Events) putBack(batch []*protocol.BootEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue, e.sending = slices.Concat(batch, e.queue), nil
	e.shrink()
}

// shrink keeps the bound. It drops the oldest hints; what tells of a second source goes last, or a flood of scripts could hide it. The lock is held.
func (e *Events) shrink() {
	over := len(e.queue) - maxQueue
	if over <= 0 {
		return
	}
	e.dropped += uint64(over)
	hints := over
	e.queue = slices.DeleteFunc(e.queue, func(ev *protocol.BootEvent) bool {
		if ev.SecondSource || hints == 0 {
			return false
		}
		hints--
		return true
	})
	e.queue = e.queue[len(e.queue)-min(len(e.queue), maxQueue):]
}
