package main

import (
	"regexp"

	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
)

func newRootCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ulrl",
		Short: "Clean backdoored TorchScript image classifiers",
		Long: `ulrl takes an image classifier in TorchScript that may hide a backdoor, and a
few hundred clean images, and gives back a model that works as well and no
longer obeys the trigger: by unlearning and relearning (arXiv 2405.14781).`,
		Example: `  ulrl attack -c configs/badnets.yaml   train a backdoored model to try it on
  ulrl run -c configs/badnets.yaml      clean it`,
		Version:       buildVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			log, err := newLogger(a.logging, a.console)
			if err != nil {
				return err
			}
			a.log = log
			return nil
		},
	}
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.console)
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.Misuse("%s; %s --help lists the flags", flagError(err), c.CommandPath())
	})
	a.logging.register(cmd, a.getenv)
	cmd.SetHelpCommand(newHelpCommand())
	cmd.AddCommand(
		newRunCommand(a),
		newAttackCommand(a),
		newEvalCommand(a),
		newInspectCommand(a),
		newScanCommand(a),
		newImportCommand(a),
		newExportCommand(a),
		newSweepCommand(a),
		newReportCommand(a),
		newConfigCommand(a),
		newDataCommand(a),
		newDoctorCommand(a),
		newVersionCommand(a),
	)
	cmd.InitDefaultCompletionCmd()
	for _, c := range cmd.Commands() {
		if c.Name() == "completion" {
			c.RunE = showHelp // else cobra takes "completion nosuch" for success
		}
	}
	return cmd
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// newHelpCommand replaces cobra's, which takes an unknown command for success.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return fault.AsMisuse(err)
			}
			return about.Help()
		},
	}
}

// notParsed is what the flags' library says of a value, by the function of Go's that read it.
var notParsed = regexp.MustCompile(`strconv\.(\w+): parsing .*$`)

// flagError is what is wrong with a flag, without the names of Go's functions.
func flagError(err error) string {
	return notParsed.ReplaceAllStringFunc(err.Error(), func(said string) string {
		switch name := notParsed.FindStringSubmatch(said)[1]; name {
		case "ParseBool":
			return "wanted true or false"
		case "ParseFloat":
			return "wanted a number"
		}
		return "wanted a whole number"
	})
}
