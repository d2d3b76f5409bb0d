package rack

import (
	"strconv"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/netns"
)

func TestMain(m *testing.M) { netns.TestMain(m) }

func itoa(n int) string { return strconv.Itoa(n) }
