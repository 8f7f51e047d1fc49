package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// interruptible is a context that the first signal cancels; the second calls
// exit at once. The first is answered on w in one line, since a batch may take
// a while to end.
func interruptible(ctx context.Context, signals <-chan os.Signal, w io.Writer, exit func(int)) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-signals
		// Before it is cancelled: the program may be over at once.
		fmt.Fprintln(w, "stopping after this batch; press Ctrl-C again to stop at once")
		cancel()
		<-signals
		exit(exitInterrupted)
	}()
	return ctx
}
