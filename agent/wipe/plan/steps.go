package plan

// Method is the word for a step in receipts and progress, as in the agent's protocol.
type Method string

// Methods.
const (
	NVMeFormat       Method = "NVMeFormat"
	NVMeSanitize     Method = "NVMeSanitize"
	ATASanitize      Method = "ATASanitize"
	ATASecurityErase Method = "ATASecurityErase"
	Discard          Method = "Discard"
	ZeroOut          Method = "ZeroOut"
	Overwrite        Method = "Overwrite"
	Signatures       Method = "Signatures"
)

// Kind tells the variants of a method apart.
type Kind string

// Kinds. Methods without variants have none.
const (
	// Block erases the media: SANACT 010b, BLOCK ERASE EXT.
	Block Kind = "Block"
	// Crypto changes the key: SES 010b, SANACT 100b, CRYPTO SCRAMBLE EXT.
	Crypto Kind = "Crypto"
	// Pattern overwrites inside the disk: SANACT 011b, OVERWRITE EXT.
	Pattern Kind = "Pattern"
	// UserData is SES 001b of Format NVM.
	UserData Kind = "UserData"
	// Enhanced is the enhanced mode of SECURITY ERASE UNIT.
	Enhanced Kind = "Enhanced"
)

// Promise is what a disk owes once it acknowledged a step.
type Promise int

const (
	// Zeros: every block reads as zeros. Anything else is a lie.
	Zeros Promise = iota + 1
	// PerhapsZeros: the blocks may read as zeros. If they do the step counts, if not the next one is tried.
	PerhapsZeros
	// Erased: the disk may show zeros, ones or noise, but nothing of what was there.
	Erased
)

// Step is one way to erase a disk.
type Step struct {
	Method  Method
	Kind    Kind
	Promise Promise
	// Gives is the level that is reached once the step is verified.
	Gives Level
}

// rule says when a step is possible.
type rule struct {
	step Step
	can  func(Disk) bool
}

// purges in order. NIST SP 800-88 revision 1: table A-8 for NVMe (Format with user data or cryptographic erase) and ATA flash
// (sanitize only: SECURITY ERASE UNIT of a solid state drive is no more than Clear there), table A-5 for ATA hard disks
// (sanitize, then SECURITY ERASE UNIT in enhanced mode). NVMe Sanitize (Base specification 2.0, section 5.24) came after that
// publication; it reaches more than Format does, so it goes first. Overwriting flash from the inside wears it, so it goes last.
var purges = []rule{
	{Step{NVMeSanitize, Block, Erased, Purge}, func(d Disk) bool { return d.NVMe.Sanitize.Block && d.NVMe.Alone() }},
	{Step{NVMeSanitize, Crypto, Erased, Purge}, func(d Disk) bool { return d.NVMe.Sanitize.Crypto && d.NVMe.Alone() }},
	{Step{NVMeFormat, Crypto, Erased, Purge}, func(d Disk) bool { return d.NVMe.CryptoFormat && canFormat(d) }},
	{Step{NVMeFormat, UserData, Erased, Purge}, canFormat},
	{Step{NVMeSanitize, Pattern, Erased, Purge}, func(d Disk) bool { return d.NVMe.Sanitize.Overwrite && d.NVMe.Alone() }},
	{Step{ATASanitize, Block, Erased, Purge}, func(d Disk) bool { return d.ATA.Sanitize.Block && canSanitizeATA(d) && !d.Rotational }},
	{Step{ATASanitize, Crypto, Erased, Purge}, func(d Disk) bool { return d.ATA.Sanitize.Crypto && canSanitizeATA(d) }},
	{Step{ATASanitize, Pattern, Erased, Purge}, func(d Disk) bool { return d.ATA.Sanitize.Overwrite && canSanitizeATA(d) && d.Rotational }},
	{Step{ATASecurityErase, Enhanced, Erased, Purge}, canSecurityErase},
}

// clears in order. Discard alone is no promise, so it counts only when the disk reads back as zeros. What a hard disk calls
// discard is a hint for its shingles, so it is not asked. The kernel writes zeros out where a disk cannot zero itself.
var clears = []rule{
	{Step{NVMeFormat, UserData, Erased, Purge}, canFormat},
	{Step{Discard, "", PerhapsZeros, Clear}, func(d Disk) bool { return d.DiscardMax > 0 && !d.Rotational }},
	{Step{ZeroOut, "", Zeros, Clear}, always},
	{Step{Overwrite, "", Zeros, Clear}, always},
}

// quicks are the one step of a quick wipe.
var quicks = []rule{{Step{Signatures, "", Zeros, Quick}, always}}

func always(Disk) bool { return true }

// canFormat is for one namespace only: where a format takes all of them, there must be no other.
func canFormat(d Disk) bool { return d.NVMe.Format && (!d.NVMe.FormatsAll || d.NVMe.Alone()) }

func canSanitizeATA(d Disk) bool { return !d.ATA.SanitizeFrozen }

func canSecurityErase(d Disk) bool {
	return d.ATA.Security && d.ATA.Enhanced && !d.ATA.Frozen && d.Rotational
}
