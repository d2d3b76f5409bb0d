package boot

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"ingot.dev/ingot/crds/reasons"
)

// Firmware of a request.
const (
	UEFIPXE  = "uefi-pxe"
	UEFIHTTP = "uefi-http"
	BIOSPXE  = "bios-pxe"
)

// ErrNoAnswer is returned by Script for the target NoAnswer: there is nothing to send.
var ErrNoAnswer = errors.New("this machine gets no answer")

// idleSeconds is how long an idle machine waits before it asks again, and failSeconds how long one waits whose files could not be loaded.
const (
	idleSeconds = "15"
	failSeconds = "10"
)

// Params are what a script needs besides the decision.
type Params struct {
	// Firmware as in Request.
	Firmware string
	// FirstStage is the URL to ask again at; Kernel and Initrd are the URLs of the agent image; Files is what stands before the digest in those of others.
	FirstStage, Kernel, Initrd, Files string
	// BootMAC is the interface that boots, lower case with colons.
	BootMAC string
	// AgentURL, AgentPin and AgentArgs as in View.
	AgentURL, AgentPin string
	AgentArgs          []string
	// ImageArgs are the kernel arguments that the agent image asks for, consoles among them.
	ImageArgs []string
}

// Script writes the iPXE script for a decision. It is ErrNoAnswer for NoAnswer, and ErrUnsafe when a value cannot be written safely.
func Script(d Decision, p Params) ([]byte, error) {
	var s script
	var err error
	switch d.Target {
	case Agent:
		s, err = agentScript(d, p)
	case OS:
		s, err = osScript(d, p)
	case LocalDisk:
		s = localDisk(d, p)
	case NoAnswer:
		return nil, ErrNoAnswer
	default:
		s = idle(d, p)
	}
	if err != nil {
		return nil, err
	}
	return append(script{sayWho(d)}, s...).render()
}

func sayWho(d Decision) statement {
	switch {
	case d.Reason == reasons.ControllerAway && d.Server == "":
		return say("the controller cannot be heard, so nobody knows this machine.")
	case d.Reason == reasons.ControllerAway:
		return say("this is server %s, known by its %s. The controller cannot be heard, so nothing is begun.", d.Server, d.By)
	case len(d.Conflict) > 0:
		return say("the evidence of this machine points to %s.", strings.Join(d.Conflict, ", "))
	case d.Server == "":
		return say("no Server describes this machine.")
	}
	return say("this is server %s, known by its %s.", d.Server, d.By)
}

func agentScript(d Decision, p Params) (script, error) {
	args, err := kernelArgs(d.BootID, p)
	if err != nil {
		return nil, err
	}
	kernel := do(append([]string{"kernel", "--name", "vmlinuz", p.Kernel}, args...)...)
	return script{
		say("it boots the agent, which reads the hardware (%s), boot %s.", d.Reason, d.BootID),
		kernel.orGoto("failed"),
		do("initrd", "--name", "initrd", p.Initrd).orGoto("failed"),
		do("boot").orGoto("failed"),
		label("failed"),
		say("the agent could not be loaded, asking again in %s seconds.", failSeconds),
		do("imgfree"),
		do("sleep", failSeconds),
	}.askAgain(p), nil
}

// kernelArgs checks the agent's own arguments strictly: they decide whom the agent trusts.
func kernelArgs(bootID string, p Params) ([]string, error) {
	if host, ok := strings.CutPrefix(p.AgentURL, "https://"); !ok || host == "" || host[0] == '/' {
		return nil, fmt.Errorf("%w: the agent URL %q is not https", ErrUnsafe, p.AgentURL)
	}
	if pin, err := hex.DecodeString(p.AgentPin); err != nil || len(pin) != 32 {
		return nil, fmt.Errorf("%w: the agent pin is not a SHA-256", ErrUnsafe)
	}
	if bootID == "" || !isMAC(p.BootMAC) {
		return nil, fmt.Errorf("%w: boot id %q or MAC %q is missing", ErrUnsafe, bootID, p.BootMAC)
	}
	args := []string{"initrd=initrd", "ingot.boot=" + bootID, "ingot.url=" + p.AgentURL, "ingot.pin=" + p.AgentPin, "ingot.mac=" + p.BootMAC}
	for _, a := range append(append([]string{}, p.ImageArgs...), p.AgentArgs...) {
		if err := checkExtra(a); err != nil {
			return nil, err
		}
		args = append(args, a)
	}
	return args, nil
}

// checkExtra refuses arguments that would replace ours, end the kernel's own arguments ("--"), or open a quotation that swallows the rest.
func checkExtra(a string) error {
	if strings.HasPrefix(a, "ingot.") || strings.HasPrefix(a, "initrd=") || a == "--" || strings.Contains(a, `"`) {
		return fmt.Errorf("%w: kernel argument %q is reserved or has quotes", ErrUnsafe, a)
	}
	return nil
}

// localDisk hands the machine back to its firmware. A UEFI boot manager goes on with the next option only after an error and may show its
// menu after a success (UEFI 2.10 section 3.1.2), hence "exit 1". A BIOS often does not go on after a network boot, so iPXE starts the first
// disk itself (INT 13h drive 0x80) and leaves to the firmware only when that fails.
func localDisk(d Decision, p Params) script {
	s := script{say("it boots its own disk (%s).", d.Reason)}
	if d.Reason == reasons.IdentityConflict {
		s = append(s, say("nothing is done to it until an operator settles which server it is."))
	}
	if p.Firmware != BIOSPXE {
		return append(s, say("leaving to the firmware, which goes on with its next boot device."), do("exit", "1"))
	}
	return append(s,
		do("sanboot", "--no-describe", "--drive", "0x80").orGoto("failed"),
		label("failed"),
		say("the first disk does not boot, leaving to the firmware."),
		do("exit", "1"))
}

func idle(d Decision, p Params) script {
	var s script
	if d.Reason == reasons.IdentityConflict {
		s = append(s, say("its boot was asked for from two addresses; at most one is this machine, so neither is trusted."))
	}
	if d.Reason == reasons.AgentImageMissing {
		s = append(s, say("this site has no agent image for its architecture; build one, and name its folder with --agent-image."))
	}
	return append(s,
		say("it waits here (%s) and asks again in %s seconds.", d.Reason, idleSeconds),
		do("sleep", idleSeconds),
	).askAgain(p)
}

// askAgain starts over with the first stage, which bounds its own tries. When even that cannot be had this server is gone: another one that serves the network
// names itself over DHCP, and without one the machine is left to its firmware.
func (s script) askAgain(p Params) script {
	return append(s,
		do("set", "ingot-hops:int32", "0"), // it was given a script: whatever was followed before counts no more
		do("chain", "--replace", p.FirstStage).orGoto("gone"),
		label("gone"),
		say("the boot server is gone, asking who else there is."),
		do("ifconf", "--configurator", configurator(p.FirstStage)).orGoto("leave"),
		statement{verbatim: named},
		statement{verbatim: follow},
		label("leave"),
		do("exit", "1"))
}

// The lines that go where DHCP leads.
const (
	named  = "isset ${filename} || goto leave"
	follow = "chain --replace ${filename} || goto leave"
)
