package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of ulrl, Go and libtorch",
		Args:  noArgs(""),
		RunE:  func(*cobra.Command, []string) error { return runVersion(a) },
	}
	a.registerJSON(cmd)
	return cmd
}

// build is what is known of how this program was built.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the repository
	Modified bool   `json:"modified,omitempty"` // there were changes that the revision lacks
}

// buildVersion is the linker's word, else that of the module system.
func buildVersion() build {
	b := build{Version: version}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is the version with the start of the revision behind it.
func (b build) String() string {
	text := b.Version
	if b.Revision != "" {
		text += " (" + b.Revision[:min(len(b.Revision), 12)]
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return text
}

// versions is what "version --json" prints.
type versions struct {
	build
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Libtorch  string `json:"libtorch"`
	Interface int    `json:"interface"` // of libtorchbridge.so
}

func runVersion(a *app) error {
	lib, err := a.engine.open(a.log)
	if err != nil {
		return err
	}
	v := versions{
		build:     buildVersion(),
		Go:        runtime.Version(),
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
		Libtorch:  lib.TorchVersion(),
		Interface: lib.InterfaceVersion(),
	}
	return a.show(v, func(w io.Writer) {
		fmt.Fprintf(w, "ulrl %s\n%s %s\nlibtorch %s, interface version %d\n", v.build, v.Go, v.Platform, v.Libtorch, v.Interface)
	})
}
