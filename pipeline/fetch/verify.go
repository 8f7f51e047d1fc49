package fetch

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
)

// verify compares a file with its published sum.
func verify(ctx context.Context, sink progress.Sink, path string, file File) error {
	kind, want, _ := strings.Cut(file.Sum, ":")
	hashes := map[string]func() hash.Hash{"sha256": sha256.New, "md5": md5.New}
	if hashes[kind] == nil {
		return fmt.Errorf("%s: no sum of kind %q is known", file.Name, kind)
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.Misuse("check %s: %w", file.Name, err)
	}
	defer f.Close()
	h := hashes[kind]()
	if err := read(ctx, sink, "check", f, func(in io.Reader) error {
		_, err := io.Copy(h, in)
		return err
	}); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fault.Misuse("%s is not what is published: its %s is %s, not %s; fetch it again, or from elsewhere by --from", path, kind, got, want)
	}
	return nil
}

// read gives f to body, tells sink of each MiB, and ends with the context.
func read(ctx context.Context, sink progress.Sink, phase string, f *os.File, body func(io.Reader) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m := newMeter(sink, phase, info.Name(), info.Size())
	err = body(metered{ctx, m, f})
	m.end(err == nil)
	return err
}

type metered struct {
	ctx context.Context
	m   *meter
	r   io.Reader
}

func (r metered) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.m.add(int64(n))
	return n, err
}
