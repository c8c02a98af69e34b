package cli

import "github.com/spf13/cobra"

// argKind is what a shell may put in the place of an argument.
type argKind = func(toComplete string) ([]string, cobra.ShellCompDirective)

// PlanArg completes to plans.
func PlanArg(string) ([]string, cobra.ShellCompDirective) {
	return []string{"plan"}, cobra.ShellCompDirectiveFilterFileExt
}

// ModelArg completes to directories.
func ModelArg(string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// CompleteArgs tells the shell what the arguments of a command are, by position; the last kind goes on for all further ones.
func CompleteArgs(cmd *cobra.Command, kinds ...argKind) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return kinds[min(len(args), len(kinds)-1)](toComplete)
	}
}

// CompleteFlag tells the shell which values a flag takes.
func CompleteFlag(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // a flag that the command does not have
	}
}
