// Package bmctest holds what every driver of the BMC port must pass, and a BMC in memory for tests of its users.
//
// Layer 5: tests only. RunDriver is run against each real driver in front of a fake BMC, and against the BMC in
// memory, so that the two cannot drift apart.
package bmctest
