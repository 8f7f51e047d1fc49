// Command ulrl cleans backdoored TorchScript image classifiers by unlearning and
// relearning (ULRL, arXiv 2405.14781).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker (-X main.version=v1.2.3); see buildVersion.
var version string

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerArgs[0] {
		if err := serve(torchEngine()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitFailure)
		}
		return
	}
	// A reader that leaves (ulrl run 2>&1 | head) must not kill a long run.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	a := newApp(os.Stdout, os.Stderr, os.Environ(), torchEngine())
	a.confine = confine
	ctx := interruptible(context.Background(), signals, a.console, os.Exit)
	os.Exit(a.main(ctx, os.Args[1:]))
}
