package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// usage wraps the argument check of a command: its error says what is missing or too much, and exits with CodeUsage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		wanted := strings.TrimSuffix(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()), " [flags]")
		switch {
		case wanted == "":
			err = fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
		case len(args) == 0:
			err = fmt.Errorf("%s needs%s", cmd.CommandPath(), wanted)
		default:
			err = fmt.Errorf("%s takes%s alone, not %q as well", cmd.CommandPath(), wanted, args[1])
		}
		return &ExitError{Code: CodeUsage, Err: fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	}
}

// group makes a command that only holds others: alone it shows its help, and an unknown word is an error, with what may have been meant.
func group(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		path, hint := cmd.CommandPath(), fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
		if word := nearest(cmd, args[0]); word != "" {
			hint = fmt.Sprintf("did you mean `%s %s`?", path, word)
		}
		return &ExitError{Code: CodeUsage, Err: fmt.Errorf("there is no command %q; %s", path+" "+args[0], hint)}
	}
}

// nearest is the command that differs least from what was typed, by two letters at most.
func nearest(cmd *cobra.Command, typed string) string {
	for cmd.SuggestionsMinimumDistance = 1; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
		if similar := cmd.SuggestionsFor(typed); len(similar) > 0 {
			return similar[0]
		}
	}
	return ""
}

// groupCompletion makes cobra's completion command as strict as ours.
func groupCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			group(cmd)
		}
	}
}

// parserWords are what Go's parsers put between the flag and what a person understands.
var parserWords = regexp.MustCompile(`(strconv\.\w+|time): (parsing "[^"]*": )?`)

// flagError makes a mistake in a flag one line that names where to read on.
func flagError(cmd *cobra.Command, err error) error {
	text := parserWords.ReplaceAllString(err.Error(), "")
	return &ExitError{Code: CodeUsage, Err: fmt.Errorf("%s; see `%s --help`", text, cmd.CommandPath())}
}

// usageTemplate leaves out what says nothing: "[flags]" of groups.
func usageTemplate(standard string) string {
	return strings.Replace(standard, "{{if .Runnable}}\n  {{.UseLine}}{{end}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}\n  {{.UseLine}}{{end}}", 1)
}

// WithoutClientFlags is for commands that connect to no API server: their help leaves out the flags that say which.
func WithoutClientFlags(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		cmd.SetUsageTemplate(localFlagsOnly)
	}
	return cmds
}

const localFlagsOnly = `Usage:
  {{.UseLine}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
`
