package bmc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

func TestErrorsCarryOneClass(t *testing.T) {
	for _, class := range bmc.Classes() {
		err := fmt.Errorf("powering on rack1: %w", bmc.Fail(class, "setting power", "status %d", 500))
		if bmc.ClassOf(err) != class {
			t.Errorf("class of %v is %v", err, bmc.ClassOf(err))
		}
		for _, other := range bmc.Classes() {
			if errors.Is(err, other) != (other == class) {
				t.Errorf("%v and %v", err, other)
			}
		}
		if want := "setting power: " + class.Error() + ": status 500"; !strings.HasSuffix(err.Error(), want) {
			t.Errorf("text %q, want the end %q", err, want)
		}
	}
	if bmc.ClassOf(nil) != nil || bmc.ClassOf(context.Canceled) != bmc.ErrUnreachable {
		t.Error("class of no error, and of one without a class")
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	err := bmc.Fail(bmc.ErrUnsupported, "reading", "%s", strings.Repeat("x", 1<<20))
	if n := len(err.Error()); n > 500 {
		t.Errorf("%d bytes", n)
	}
}
