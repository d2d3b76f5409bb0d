package boot

import (
	"fmt"
	"strings"
)

// osScript boots the operating system. Nothing of the arguments is said on the console, nor in an error: they hold the capability for the machine config.
func osScript(d Decision, p Params) (script, error) {
	if d.OS == nil || d.BootID == "" || p.Files == "" {
		return nil, fmt.Errorf("%w: what to boot, its boot id or the place of the files is missing", ErrUnsafe)
	}
	if err := checkOSArgs(d.OS.Args); err != nil {
		return nil, err
	}
	return append(append(
		script{say("it boots its operating system (%s), boot %s.", d.Reason, d.BootID)}, osLoad(d.OS, p.Files)...),
		label("failed"),
		say("the operating system could not be loaded, asking again in %s seconds.", failSeconds),
		do("imgfree"),
		do("sleep", failSeconds),
	).askAgain(p), nil
}

// osLoad loads and starts it. A UKI holds its initramfs, and iPXE gives it the arguments as the load options of its image.
func osLoad(o *OSBoot, files string) script {
	if o.UKI != "" {
		return script{do(append([]string{"chain", "--name", "uki.efi", files + o.UKI}, o.Args...)...).orGoto("failed")}
	}
	return script{
		do(append([]string{"kernel", "--name", "vmlinuz", files + o.Kernel, "initrd=initrd"}, o.Args...)...).orGoto("failed"),
		do("initrd", "--name", "initrd", files+o.Initramfs).orGoto("failed"),
		do("boot").orGoto("failed"),
	}
}

// checkOSArgs refuses what checkExtra refuses, but for arguments of Ingot itself: those come from the controller, each once, or somebody who writes
// Environments put a second one there.
func checkOSArgs(args []string) error {
	ours := map[string]bool{}
	for i, a := range args {
		name, _, _ := strings.Cut(a, "=")
		mine := strings.HasPrefix(a, "ingot.") && !ours[name]
		ours[name] = true
		if mine {
			a = strings.TrimPrefix(a, "ingot.")
		}
		if checkExtra(a) != nil || checkWord(a) != nil {
			return fmt.Errorf("%w: argument %d of the operating system's kernel is reserved, there twice, or would change the line's meaning", ErrUnsafe, i+1)
		}
	}
	return nil
}
