package fetch

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	return out
}

// cifar is CIFAR-10's binary archive, small, and big enough to break off.
func cifar(t *testing.T) []byte {
	members := []member{{"cifar-10-batches-bin/", nil, fs.ModeDir}, {"./cifar-10-batches-bin/batches.meta.txt", []byte("a b c d e f g h i j\n"), 0}}
	for _, name := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		members = append(members, member{"cifar-10-batches-bin/" + name + ".bin", append([]byte{7}, noise(3072)...), 0})
	}
	return tarball(t, append(members, member{"cifar-10-batches-bin/more", noise(3 << 20), 0})...)
}

func cifarSet(base string, archive []byte) Set {
	return Set{
		Name: "cifar10", Base: base, Kind: dataset.KindCIFAR, Most: 16 << 20, Proof: "cifar-10-batches-bin/test_batch.bin",
		Files: []File{{"cifar.tar.gz", fmt.Sprintf("sha256:%x", sha256.Sum256(archive))}},
	}
}

// server gives files out, and misbehaves as asked.
type server struct {
	*httptest.Server
	files     map[string][]byte
	breakAt   int  // ends each answer after so many bytes; 0: does not
	breaks    int  // so often
	noRange   bool // gives all whatever was asked for
	stall     bool // gives half an answer and waits
	endless   bool // never ends, nor says how much it is
	status    int
	mu        sync.Mutex
	requested []string // ranges
}

func serve(t *testing.T, files map[string][]byte) *server {
	s := &server{files: files}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requested = append(s.requested, r.Header.Get("Range"))
	data, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		return
	case !ok:
		http.NotFound(w, r)
		return
	case s.noRange:
		r.Header.Del("Range")
	}
	if s.stall {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	for s.endless {
		if _, err := w.Write(data); err != nil {
			return
		}
	}
	if s.breaks > 0 {
		s.breaks--
		w = &breaking{w, s.breakAt}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// breaking ends the connection after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

// steps counts progress.
type steps struct {
	done  map[string]int
	total map[string]int
	open  []string
}

func (s *steps) Start(phase string, total int) {
	if s.done == nil {
		s.done, s.total = map[string]int{}, map[string]int{}
	}
	s.open, s.total[phase] = append(s.open, phase), total
}
func (s *steps) Step(string) { s.done[s.open[len(s.open)-1]]++ }
func (s *steps) End()        { s.open = s.open[:len(s.open)-1] }

// atPhase does something as a phase begins.
type atPhase struct {
	steps
	phase string
	do    func()
}

func (s *atPhase) Start(phase string, total int) {
	s.steps.Start(phase, total)
	if phase == s.phase {
		s.do()
	}
}

// leftovers are the names in dir.
func leftovers(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFetch(t *testing.T) {
	archive := cifar(t)
	s := serve(t, map[string][]byte{"cifar.tar.gz": archive})
	dir, sink := filepath.Join(t.TempDir(), "data"), &steps{}
	set := cifarSet(s.URL+"/", archive)
	got, err := Fetch(t.Context(), set, Options{Dir: dir, Progress: sink})
	must(t, err)
	if want := (Result{"cifar10", filepath.Join(dir, "cifar10"), false, int64(len(archive))}); *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if names := leftovers(t, dir); !slices.Equal(names, []string{"cifar10"}) {
		t.Errorf("left %q", names)
	}
	if sink.done["fetch"] != 4 || sink.total["fetch"] != 4 || sink.done["unpack"] != 4 || sink.done["check"] != 4 || len(sink.open) != 0 {
		t.Errorf("progress %+v", sink)
	}
	read, err := dataset.Read(t.Context(), dataset.SourceIn(set.Kind, got.Directory, dataset.Train))
	if err != nil || read.Len() != 5 || read.Labels[4] != 7 {
		t.Errorf("it cannot be read: %v", err)
	}
	info, err := os.Stat(got.Directory)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := Fetch(t.Context(), set, Options{Dir: dir, From: "http://127.0.0.1:1/"})
	if err != nil || !again.Already || again.Bytes != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// A set of several archives that share a file, out of a folder, which stays as it is.
func TestFetchFromFolder(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	set := Set{Name: "gtsrb", Base: "http://127.0.0.1:1/", Kind: dataset.KindGTSRB, Most: 1 << 20, Proof: "GT-final_test.csv"}
	px := []byte("P6 1 1 255 \x01\x02\x03")
	train := []member{{"GTSRB/Readme.txt", []byte("one"), 0}}
	for i := range 43 {
		train = append(train, member{fmt.Sprintf("GTSRB/Final_Training/Images/%05d/0.ppm", i), px, 0})
	}
	for name, data := range map[string][]byte{
		"a.zip": zipped(t, train...),
		"b.zip": zipped(t, member{"GTSRB/", nil, fs.ModeDir}, member{"GTSRB/Readme.txt", []byte("two"), 0}, member{"GTSRB/Final_Test/Images/00000.ppm", px, 0}),
		"c.zip": zipped(t, member{"GT-final_test.csv", []byte("Filename;ClassId\n00000.ppm;5\n"), 0}),
		"plain": []byte("as it is"),
	} {
		must(t, os.WriteFile(filepath.Join(from, name), data, 0o600))
		set.Files = append(set.Files, File{name, fmt.Sprintf("md5:%x", md5.Sum(data))})
	}
	slices.SortFunc(set.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	must(t, os.Mkdir(filepath.Join(dir, set.Name), 0o700)) // made by hand, and empty
	got, err := Fetch(t.Context(), set, Options{Dir: dir, From: from})
	must(t, err)
	for _, split := range []string{dataset.Train, dataset.Test} {
		if _, err := dataset.Read(t.Context(), dataset.SourceIn(set.Kind, got.Directory, split)); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(got.Directory, "plain")); string(text) != "as it is" {
		t.Errorf("%q, %v", text, err)
	}
	if names := leftovers(t, from); len(names) != 4 {
		t.Errorf("of the folder %q is left", names)
	}
	must(t, os.Remove(filepath.Join(from, "b.zip")))
	_, err = Fetch(t.Context(), set, Options{Dir: t.TempDir(), From: from})
	wantLine(t, err, true, "b.zip: no such file")
}

func wantLine(t *testing.T, err error, misuse bool, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	if fault.IsMisuse(err) != misuse || strings.Contains(err.Error(), "\n") {
		t.Errorf("misuse %v: %q", fault.IsMisuse(err), err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

// A transfer that breaks off goes on where it ended, in the same call or a later one.
func TestFetchResumes(t *testing.T) {
	archive := cifar(t)
	part := "cifar.tar.gz.part"
	for _, x := range []struct {
		name   string
		before []byte
		change func(*server)
		ranges []string
		bytes  int
	}{
		{"breaks off twice", nil, func(s *server) { s.breaks, s.breakAt = 2, 1<<20 }, []string{"", "bytes=1048576-", "bytes=2097152-"}, len(archive)},
		{"half was there", archive[:1000], func(*server) {}, []string{"bytes=1000-"}, len(archive) - 1000},
		{"all was there", archive, func(*server) {}, []string{fmt.Sprintf("bytes=%d-", len(archive))}, 0},
		{"no ranges", archive[:1000], func(s *server) { s.noRange = true }, []string{"bytes=1000-"}, len(archive)},
		{"no ranges, all was there", archive, func(s *server) { s.noRange = true }, []string{fmt.Sprintf("bytes=%d-", len(archive))}, len(archive)},
		{"too much was there", append(slices.Clone(archive), 1, 2), func(*server) {}, []string{fmt.Sprintf("bytes=%d-", len(archive)+2), ""}, len(archive)},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, dir := serve(t, map[string][]byte{"cifar.tar.gz": archive}), t.TempDir()
			x.change(s)
			if x.before != nil {
				must(t, os.WriteFile(filepath.Join(dir, part), x.before, 0o600))
			}
			got, err := Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir})
			must(t, err)
			if got.Bytes != int64(x.bytes) || !slices.Equal(s.requested, x.ranges) {
				t.Errorf("%d bytes by %q; want %d by %q", got.Bytes, s.requested, x.bytes, x.ranges)
			}
			if names := leftovers(t, dir); !slices.Equal(names, []string{"cifar10"}) {
				t.Errorf("left %q", names)
			}
		})
	}
	t.Run("the archive was there", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "cifar.tar.gz"), archive, 0o600))
		got, err := Fetch(t.Context(), cifarSet("http://127.0.0.1:1", archive), Options{Dir: dir})
		if err != nil || got.Bytes != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a later call", func(t *testing.T) {
		s, dir := serve(t, map[string][]byte{"cifar.tar.gz": archive}), t.TempDir()
		s.breaks, s.breakAt = 1, 1<<20
		_, err := Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir, Tries: 1})
		wantLine(t, err, false, s.URL+"/cifar.tar.gz: the transfer broke off at 1048576", "what has come is kept")
		if names := leftovers(t, dir); !slices.Equal(names, []string{part}) {
			t.Fatalf("left %q", names)
		}
		_, err = Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir})
		must(t, err)
		if want := []string{"", "bytes=1048576-"}; !slices.Equal(s.requested, want) {
			t.Errorf("asked for %q", s.requested)
		}
	})
}

func TestFetchErrors(t *testing.T) {
	archive := cifar(t)
	for _, x := range []struct {
		name   string
		change func(*server, *Set)
		o      Options
		misuse bool
		want   []string
		left   []string
	}{
		{"not there", func(s *server, _ *Set) { clear(s.files) }, Options{}, true, []string{"/cifar.tar.gz: it answers 404 Not Found", "--from"}, nil},
		{"out of order", func(s *server, _ *Set) { s.status = 503 }, Options{Tries: 3}, false, []string{"it answers 503", "try again later"}, nil},
		{"nobody there", func(s *server, _ *Set) { s.Close() }, Options{}, false, []string{"connection refused", "--from"}, nil},
		{"stalls", func(s *server, _ *Set) { s.stall = true }, Options{Tries: 1, Stall: 500 * time.Millisecond}, false, []string{"nothing came for 500ms"}, []string{"cifar.tar.gz.part"}},
		{"another file", func(s *server, _ *Set) { s.files["cifar.tar.gz"] = archive[1:] }, Options{}, true, []string{"cifar.tar.gz.part is not what is published: its sha256 is", "fetch it again"}, nil},
		{"no URL", func(_ *server, set *Set) { set.Base = "gopher://x" }, Options{}, false, []string{"unsupported protocol"}, nil},
		{"too large", func(s *server, set *Set) {
			s.files["cifar.tar.gz"] = tarball(t, member{"zeros", make([]byte, 2<<20), 0})
			*set = cifarSet(s.URL, s.files["cifar.tar.gz"])
			set.Most = 1 << 20
		}, Options{}, true, []string{"it unpacks to more than the set is large"}, []string{"cifar.tar.gz"}},
		{"a file too large", func(_ *server, set *Set) { set.Most = 1 << 20 }, Options{}, true, []string{"/cifar.tar.gz: it is more than the 1 MiB that cifar10 takes", "--from"}, nil},
		{"without end", func(s *server, set *Set) { s.endless, set.Most = true, 1<<20 }, Options{}, true, []string{"/cifar.tar.gz: it is more than the 1 MiB that cifar10 takes"}, nil},
		{"never gets on", func(s *server, _ *Set) { s.noRange, s.breaks, s.breakAt = true, 100, 1<<20 }, Options{Tries: 3}, false, []string{"broke off at 1048576"}, []string{"cifar.tar.gz.part"}},
		{"sum of another kind", func(_ *server, set *Set) { set.Files[0].Sum = "crc:1" }, Options{}, false, []string{`kind "crc"`}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, dir := serve(t, map[string][]byte{"cifar.tar.gz": archive}), t.TempDir()
			set := cifarSet(s.URL, archive)
			x.change(s, &set)
			x.o.Dir = dir
			_, err := Fetch(t.Context(), set, x.o)
			wantLine(t, err, x.misuse, x.want...)
			if names := leftovers(t, dir); !slices.Equal(names, x.left) {
				t.Errorf("left %q, want %q", names, x.left)
			}
		})
	}
	t.Run("something else is there", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "cifar10", "train"), 0o755))
		_, err := Fetch(t.Context(), cifarSet("http://127.0.0.1:1", archive), Options{Dir: dir})
		wantLine(t, err, true, "cifar10 is there and is not cifar10 as it is given out")
	})
	t.Run("no folder", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, nil, 0o600))
		_, err := Fetch(t.Context(), cifarSet("http://127.0.0.1:1", archive), Options{Dir: file})
		wantLine(t, err, true, "not a directory")
	})
	t.Run("two at once", func(t *testing.T) {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "cifar.tar.gz.part"))
		must(t, err)
		defer f.Close()
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
		_, err = Fetch(t.Context(), cifarSet("http://127.0.0.1:1", archive), Options{Dir: dir})
		wantLine(t, err, true, "another process writes")
		if names := leftovers(t, dir); !slices.Equal(names, []string{"cifar.tar.gz.part"}) {
			t.Errorf("the other's file is gone: %q is left", names)
		}
	})
	t.Run("two at once, one checks", func(t *testing.T) {
		s, dir := serve(t, map[string][]byte{"cifar.tar.gz": archive}), t.TempDir()
		var second error
		sink := &atPhase{phase: "check", do: func() {
			_, second = Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir})
		}}
		_, err := Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir, Progress: sink})
		must(t, err)
		wantLine(t, second, true, "another process writes")
	})
	t.Run("another was faster", func(t *testing.T) {
		part := filepath.Join(t.TempDir(), "x.part")
		must(t, os.WriteFile(part, nil, 0o600))
		f, err := os.OpenFile(part, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		must(t, os.Rename(part, strings.TrimSuffix(part, ".part")))
		d := download{url: "http://127.0.0.1:1/x", part: part}
		wantLine(t, d.lock(f), true, "another process has brought it")
	})
}

func TestFetchCancelled(t *testing.T) {
	archive := cifar(t)
	s, dir := serve(t, map[string][]byte{"cifar.tar.gz": archive}), t.TempDir()
	s.stall = true
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, nil)
	defer cancel()
	_, err := Fetch(ctx, cifarSet(s.URL, archive), Options{Dir: dir})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the same command goes on") {
		t.Errorf("got %v", err)
	}
	if names := leftovers(t, dir); !slices.Equal(names, []string{"cifar.tar.gz.part"}) {
		t.Errorf("left %q", names)
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	must(t, os.WriteFile(filepath.Join(dir, "cifar.tar.gz"), archive, 0o600))
	if _, err := Fetch(done, cifarSet(s.URL, archive), Options{Dir: dir}); !errors.Is(err, context.Canceled) || fault.IsMisuse(err) {
		t.Errorf("while checking: %v", err)
	}
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	left := int64(1 << 30)
	if err := unpack(done, &steps{}, filepath.Join(dir, "cifar.tar.gz"), "cifar.tar.gz", root, &left); !errors.Is(err, context.Canceled) {
		t.Errorf("while unpacking: %v", err)
	}
}

// A real full disk: while it comes, and while it is unpacked.
func TestFetchDiskFull(t *testing.T) {
	archive := cifar(t)
	s := serve(t, map[string][]byte{"cifar.tar.gz": archive})
	for _, x := range []struct {
		kib  int
		what string
	}{{1024, "fetch "}, {4096, "unpack "}} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", x.kib)); err != nil {
			testenv.Skip(t, "a file system of a fixed size cannot be mounted here: %v", err)
		}
		defer func() { _ = syscall.Unmount(dir, 0) }()
		_, err := Fetch(t.Context(), cifarSet(s.URL, archive), Options{Dir: dir})
		wantLine(t, err, false, x.what, "no space left on device; make room")
		if _, err := os.Stat(filepath.Join(dir, "cifar10")); err == nil {
			t.Error("half a set is in its place")
		}
	}
}

// Each set names a kind that is read and sums of a known form.
func TestSets(t *testing.T) {
	for _, set := range Sets() {
		if !slices.Contains(dataset.Kinds(), set.Kind) || !strings.HasSuffix(set.Base, "/") || set.Proof == "" || set.Most == 0 {
			t.Errorf("%+v", set)
		}
		for _, f := range set.Files {
			kind, sum, _ := strings.Cut(f.Sum, ":")
			if len(sum) != map[string]int{"md5": 32, "sha256": 64}[kind] {
				t.Errorf("%s: %s", f.Name, f.Sum)
			}
		}
	}
	if got := strings.Join(Names(), " "); got != "cifar10 cifar100 gtsrb tiny-imagenet fashion-mnist" {
		t.Error(got)
	}
}

// What is neither a URL nor a folder is told so, and nothing is made.
func TestFromNowhere(t *testing.T) {
	for _, from := range []string{"ftp://x/", filepath.Join(t.TempDir(), "nowhere")} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := Fetch(t.Context(), Sets()[0], Options{Dir: dir, From: from})
		if want := from + " is neither an http or https URL nor a folder"; !fault.IsMisuse(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", from, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: %s was made", from, dir)
		}
	}
}
