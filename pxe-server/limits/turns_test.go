package limits

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var turnLimits = TurnLimits{Budget: 100, PerSource: 2, Hold: 2 * time.Minute, Stay: time.Minute}

// TestTurns: the order of asking is the order of going, whoever comes between.
func TestTurns(t *testing.T) {
	at := time.Unix(0, 0)
	q := NewTurns[string](turnLimits, func() time.Time { return at })
	enter := func(key string, size, ahead int64) func() {
		t.Helper()
		leave, got := q.Enter(key, size)
		if got != ahead || (leave == nil) != (ahead > 0) {
			t.Fatalf("%s: %d bytes ahead and may go: %v; want %d ahead", key, got, leave != nil, ahead)
		}
		return leave
	}
	a, b := enter("a", 60, 0), enter("b", 40, 0)
	enter("c", 50, 100)
	enter("d", 10, 150)
	b()
	b()                 // a second time changes nothing
	enter("d", 10, 110) // it would fit, but c was first
	enter("c", 50, 60)
	a()
	c := enter("c", 50, 0)
	d := enter("d", 10, 0)
	enter("huge", 1000, 60)
	c()
	d()
	enter("small", 1, 1000) // behind the huge one
	huge := enter("huge", 1000, 0)
	enter("small", 1, 1000)
	huge()
	enter("small", 1, 0)()
	if q.Waiting() != 0 {
		t.Errorf("%d wait", q.Waiting())
	}
}

// TestTurnsForget: who does not come back loses its place; who does keeps it.
func TestTurnsForget(t *testing.T) {
	at := time.Unix(0, 0)
	q := NewTurns[string](turnLimits, func() time.Time { return at })
	first, _ := q.Enter("first", 100)
	q.Enter("gone", 80)
	q.Enter("stays", 80)
	at = at.Add(time.Minute)
	q.Enter("stays", 80)
	at = at.Add(time.Second)
	first()
	if leave, ahead := q.Enter("stays", 80); leave == nil {
		t.Errorf("it waits for %d bytes of one that is gone", ahead)
	}
}

// TestTurnsBound: what one source gets is bounded, and who reads slowly holds nobody up for ever.
func TestTurnsBound(t *testing.T) {
	at := time.Unix(0, 0)
	q := NewTurns[string](turnLimits, func() time.Time { return at })
	slow, _ := q.Enter("slow", 10)
	q.Enter("slow", 80)
	if leave, _ := q.Enter("slow", 5); leave != nil {
		t.Error("a third transfer of one source began")
	}
	at = at.Add(2 * time.Minute)
	if leave, _ := q.Enter("other", 30); leave != nil {
		t.Error("it began beyond the budget")
	}
	at = at.Add(time.Second)
	if leave, ahead := q.Enter("other", 30); leave == nil {
		t.Errorf("it waits for %d bytes of a slow reader", ahead)
	}
	slow() // its place is gone already
	if leave, ahead := q.Enter("more", 71); leave != nil || ahead != 30 {
		t.Errorf("%d bytes ahead, want 30", ahead)
	}
}

// TestTurnsHold: whatever comes, those under way keep to the budget but for one that is alone, and everybody gets a turn.
func TestTurnsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(0, 0)
		q := NewTurns[int](turnLimits, func() time.Time { return at })
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 150), 1, 20).Draw(t, "sizes")
		todo, under := map[int]bool{}, map[int]func(){}
		for i := range sizes {
			todo[i] = true
		}
		for round := 0; len(todo)+len(under) > 0; round++ {
			if round > 2*len(sizes)+2 {
				t.Fatalf("%d still wait after %d rounds", len(todo), round)
			}
			for _, i := range rapid.Permutation(keys(todo)).Draw(t, "order") {
				if leave, _ := q.Enter(i, sizes[i]); leave != nil {
					under[i] = leave
					delete(todo, i)
				}
			}
			sum := int64(0)
			for i := range under {
				sum += sizes[i]
			}
			if sum > 100 && len(under) > 1 {
				t.Fatalf("%d bytes under way", sum)
			}
			for i, leave := range under {
				leave()
				delete(under, i)
			}
		}
	})
}

func keys(m map[int]bool) []int {
	out := []int{}
	for i := range m {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}
