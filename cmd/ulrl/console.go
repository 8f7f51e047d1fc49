package main

import (
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"
)

// console is stderr. While bars are drawn on it, lines go through them, so that
// neither garbles the other.
type console struct {
	out      io.Writer
	terminal bool

	mu   sync.Mutex
	bars *mpb.Progress
}

func newConsole(out io.Writer) *console {
	c := &console{out: out}
	if f, ok := out.(*os.File); ok {
		c.terminal = term.IsTerminal(int(f.Fd()))
	}
	return c
}

// Write writes whole lines. That nobody reads them any more is no error.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars != nil {
		// The terminal's echo of ^C may have moved the cursor off the first column.
		if _, err := c.bars.Write(append([]byte{'\r'}, p...)); err == nil {
			return len(p), nil
		}
	}
	return unbroken{c.out}.Write(p)
}

// startBars begins to draw bars.
func (c *console) startBars(options ...mpb.ContainerOption) *mpb.Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars = mpb.New(append(options, mpb.WithOutput(c.out))...)
	return c.bars
}

// stopBars waits until the last frame is drawn. Lines written meanwhile wait
// too: written past the bars, they would land in the midst of that frame.
func (c *console) stopBars() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars != nil {
		c.bars.Wait()
		c.bars = nil
	}
}
