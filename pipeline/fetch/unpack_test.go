package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// member is one of an archive.
type member struct {
	name string
	data []byte
	mode fs.FileMode // with a type, where it is no plain file
}

func tarball(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	w := tar.NewWriter(gz)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.data)), Mode: 0o600, Typeflag: tar.TypeReg}
		switch {
		case m.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, string(m.data), 0
		case m.mode&fs.ModeNamedPipe != 0:
			h.Typeflag = tar.TypeFifo
		case m.mode.IsDir():
			h.Typeflag = tar.TypeDir
		}
		must(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write(m.data)
			must(t, err)
		}
	}
	must(t, w.Close())
	must(t, gz.Close())
	return out.Bytes()
}

func zipped(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(m.mode | 0o600)
		f, err := w.CreateHeader(h)
		must(t, err)
		_, err = f.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// What would land outside, or is no plain file, is refused, and nothing is left.
func TestUnpackRefuses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "outside")
	for _, x := range []struct {
		name string
		m    []member
		want string
	}{
		{"above", []member{{"../outside", []byte("x"), 0}}, "would be written outside"},
		{"above later", []member{{"a/../../outside", []byte("x"), 0}}, "would be written outside"},
		{"absolute", []member{{out, []byte("x"), 0}}, "would be written outside"},
		{"backslash", []member{{`..\outside`, []byte("x"), 0}}, "would be written outside"},
		{"link", []member{{"link", []byte(filepath.Dir(out)), fs.ModeSymlink}, {"link/outside", []byte("x"), 0}}, "is no plain file"},
		{"pipe", []member{{"pipe", nil, fs.ModeNamedPipe}}, "is no plain file"},
		{"a file as a folder", []member{{"a", []byte("x"), 0}, {"a/b", []byte("x"), 0}}, "file exists"},
	} {
		for ending, data := range map[string][]byte{".tar.gz": tarball(t, x.m...), ".zip": zipped(t, x.m...)} {
			t.Run(x.name+ending, func(t *testing.T) {
				from, dir := t.TempDir(), t.TempDir()
				must(t, os.WriteFile(filepath.Join(from, "x"+ending), data, 0o600))
				set := Set{Name: "s", Most: 100, Proof: "p", Files: []File{{"x" + ending, fmt.Sprintf("md5:%x", md5.Sum(data))}}}
				_, err := Fetch(t.Context(), set, Options{Dir: dir, From: from})
				if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %q", err, x.want)
				}
				if names := leftovers(t, dir); len(names) != 0 {
					t.Errorf("left %q", names)
				}
				if _, err := os.Lstat(out); err == nil {
					t.Fatal("it was written outside")
				}
			})
		}
	}
	for name, data := range map[string][]byte{"x.zip": []byte("PK no zip"), "x.tar.gz": []byte("no gzip"), "y.tar.gz": tarball(t, member{"a", noise(5000), 0})[:3000]} {
		from, dir := t.TempDir(), t.TempDir()
		must(t, os.WriteFile(filepath.Join(from, name), data, 0o600))
		set := Set{Name: "s", Most: 1 << 20, Proof: "p", Files: []File{{name, fmt.Sprintf("md5:%x", md5.Sum(data))}}}
		_, err := Fetch(t.Context(), set, Options{Dir: dir, From: from})
		wantLine(t, err, false, "unpack "+filepath.Join(from, name))
		if names := leftovers(t, dir); len(names) != 0 {
			t.Errorf("left %q", names)
		}
	}
}
