package accounts_test

import (
	"os"
	"testing"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }
