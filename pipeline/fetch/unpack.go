package fetch

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
)

// maxEntries is how many files an archive may hold.
const maxEntries = 1 << 20

// unpack writes what is in an archive below root, or a file that is none as it is.
// left is how many bytes may yet be written.
func unpack(ctx context.Context, sink progress.Sink, archive, name string, root *os.Root, left *int64) error {
	f, err := os.Open(archive)
	if err != nil {
		return fault.Misuse("unpack: %w", err)
	}
	defer f.Close()
	u := unpacker{ctx: ctx, root: root, left: left}
	switch {
	case strings.HasSuffix(name, ".tar.gz"):
		err = read(ctx, sink, "unpack", f, u.tarball)
	case strings.HasSuffix(name, ".zip"):
		err = u.zip(sink, f)
	default:
		err = u.write(name, f)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("unpack %s: %w", archive, ctx.Err())
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("unpack %s: %w; make room, and the same command goes on", archive, err)
	}
	return fmt.Errorf("unpack %s: %w", archive, err)
}

type unpacker struct {
	ctx     context.Context
	root    *os.Root
	left    *int64
	entries int
}

func (u *unpacker) tarball(in io.Reader) error {
	gz, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(gz); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue // folders are made as they are needed
		case tar.TypeReg:
		default:
			return fault.Misuse("%q in it is no plain file", header.Name)
		}
		if err := u.write(header.Name, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(sink progress.Sink, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	m := newMeter(sink, "unpack", info.Name(), info.Size())
	for _, entry := range archive.File {
		if err := u.zipped(entry); err != nil {
			m.end(false)
			return err
		}
		m.add(int64(entry.CompressedSize64))
	}
	m.end(true)
	return nil
}

func (u *unpacker) zipped(entry *zip.File) error {
	if entry.Mode().IsDir() {
		return nil
	}
	if !entry.Mode().IsRegular() {
		return fault.Misuse("%q in it is no plain file", entry.Name)
	}
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // its checksum is compared at its end
	return u.write(entry.Name, r)
}

// write puts a file below the root: not outside, not through a link, and not more
// than is left. Of two of one name the later stays: archives of one set share
// their read-me files.
func (u *unpacker) write(name string, from io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	clean := path.Clean(name)
	if !filepath.IsLocal(clean) || strings.ContainsAny(name, "\\\x00") {
		return fault.Misuse("%q in it would be written outside", name)
	}
	if u.entries++; u.entries > maxEntries {
		return fault.Misuse("it holds more than %d files", maxEntries)
	}
	if err := u.root.MkdirAll(path.Dir(clean), 0o755); err != nil {
		return err
	}
	f, err := u.root.OpenFile(clean, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(from, *u.left+1))
	if *u.left -= n; err == nil && *u.left < 0 {
		err = fault.Misuse("it unpacks to more than the set is large")
	}
	return errors.Join(err, f.Close())
}
