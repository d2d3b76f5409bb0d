package plan

// Level is how thoroughly a disk is erased, the words of the agent's protocol. Clear and Purge are those of
// NIST SP 800-88 revision 1, section 2.5.
type Level string

// Levels, from the weakest to the strongest.
const (
	// Quick removes what an operating system or a boot loader would find. The data stays.
	Quick Level = "Quick"
	// Clear keeps the data from anybody who reads the disk through its interface.
	Clear Level = "Clear"
	// Purge keeps it from a laboratory as well.
	Purge Level = "Purge"
)

// Known says whether l is one of the levels.
func (l Level) Known() bool { return l.rank() > 0 }

// AtLeast says whether l is as strong as other, or stronger. A level that is not known is weaker than all.
func (l Level) AtLeast(other Level) bool { return l.rank() >= other.rank() }

func (l Level) rank() int {
	switch l {
	case Quick:
		return 1
	case Clear:
		return 2
	case Purge:
		return 3
	default:
		return 0
	}
}
