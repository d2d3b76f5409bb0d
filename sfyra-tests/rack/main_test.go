package rack

import (
	"strconv"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

func itoa(n int) string { return strconv.Itoa(n) }
