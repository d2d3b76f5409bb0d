package cli

import "github.com/spf13/cobra"

// Group makes a command that only holds others, for programs that add commands of their own: alone it shows its help, and an unknown word is an error.
func Group(cmd *cobra.Command) { group(cmd) }

// Usage wraps the argument check of such a command: its error says what is missing or too much.
func Usage(check cobra.PositionalArgs) cobra.PositionalArgs { return usage(check) }
