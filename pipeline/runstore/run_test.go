package runstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ulrl/pipeline/fault"
)

func create(t *testing.T, dir string) *Run {
	t.Helper()
	r, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestRunFromCreateToFinish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "er", "run")
	r := create(t, dir)
	if got, err := ReadResult(dir); err != nil || got.Status != StatusRunning || got.Started == "" {
		t.Errorf("while it runs: %+v, %v", got, err)
	}
	if err := r.WriteFile("config.yaml", []byte("a: 1\n")); err != nil {
		t.Fatal(err)
	}
	if err := r.Event(PhaseEvent{Kind: KindPhase, Phase: "load", State: PhaseStart}); err != nil {
		t.Fatal(err)
	}
	result := &Result{Name: "x"}
	if err := r.Finish(StatusComplete, result); err != nil {
		t.Fatal(err)
	}
	if result.Status != StatusComplete {
		t.Errorf("status %q was not set", result.Status)
	}
	wantNames(t, dir, "config.yaml", "events.jsonl", "result.json")
	if got, err := ReadResult(dir); err != nil || got.Status != StatusComplete || got.Name != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	for what, err := range map[string]error{
		"Close again": r.Close(),
		"WriteFile":   ignoreClosed(r.WriteFile("x", nil)),
		"Event":       ignoreClosed(r.Event(PhaseEvent{Kind: KindPhase})),
		"Finish":      ignoreClosed(r.Finish(StatusFailed, nil)),
	} {
		if err != nil {
			t.Errorf("%s on a finished run: %v", what, err)
		}
	}
}

// ignoreClosed turns the wanted error into none.
func ignoreClosed(err error) error {
	if err != nil && strings.Contains(err.Error(), "is closed") {
		return nil
	}
	return fmt.Errorf("want an error that says closed, got: %w", err)
}

// A file that turns out not to be what a finished run says of it goes, and the run has failed.
func TestDisown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := create(t, dir)
	for _, name := range []string{FileCleaned, "config.yaml"} {
		if err := r.WriteFile(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(StatusComplete, &Result{Files: map[string]string{"model": FileCleaned, "config": "config.yaml"}}); err != nil {
		t.Fatal(err)
	}
	if err := Disown(dir, FileCleaned, errors.New("it is no model")); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != StatusFailed || got.Error != "it is no model" || len(got.Files) != 1 || got.Sums[FileCleaned] != "" || got.Sums["config.yaml"] == "" {
		t.Errorf("%s, %s, files %v, sums %v", got.Status, got.Error, got.Files, got.Sums)
	}
	wantNames(t, dir, "config.yaml", "result.json")
}

func TestFinishUnknownStatus(t *testing.T) {
	r := create(t, t.TempDir())
	if err := r.Finish("done", nil); err == nil {
		t.Error("no error")
	}
	if err := r.Finish(StatusFailed, nil); err != nil {
		t.Error(err)
	}
}

func TestCreateOverWhatIsThere(t *testing.T) {
	const complete, failed = `{"status":"complete"}`, `{"status":"failed"}`
	for name, c := range map[string]struct {
		files       map[string]string
		want        string // in the error; "" is none
		forced      string // in the error with Force
		left, taken string // files after a refusal, after a success
	}{
		"empty": {},
		"finished": {
			files: map[string]string{"result.json": complete, "cleaned.pt": "m", "notes.txt": "n"},
			want:  "holds a finished run",
		},
		"failed":        {files: map[string]string{"result.json": failed, "config.yaml": "c", "notes.txt": "n"}},
		"interrupted":   {files: map[string]string{"result.json": `{"status":"interrupted"}`, "events.jsonl": "{}\n"}},
		"killed":        {files: map[string]string{"result.json": `{"status":"running"}`, ".cleaned.pt.12-ab.tmp": "half", ".result.json.1-2.tmp": ""}},
		"only events":   {files: map[string]string{"events.jsonl": "", "notes.txt": "n"}},
		"somebody's":    {files: map[string]string{"thesis.tex": "t"}, want: "neither empty nor a run directory", forced: "neither empty"},
		"a config only": {files: map[string]string{"config.yaml": "mine"}, want: "neither empty", forced: "neither empty"},
		"another's result": {
			files: map[string]string{"result.json": `{"status":"ok"}`}, want: "neither empty", forced: "neither empty",
		},
		"damaged result": {
			files: map[string]string{"result.json": `{"stat`, "events.jsonl": ""}, want: "not the result of a run",
		},
		"left over by NFS": {files: map[string]string{".nfs000001": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, force := range []bool{false, true} {
				dir := t.TempDir()
				for file, content := range c.files {
					put(t, dir, file, content)
				}
				before := names(t, dir)
				want := c.want
				if force {
					want = c.forced
				}
				r, err := Create(dir, Options{Force: force})
				oneLine(t, err)
				if want != "" {
					if !fault.IsMisuse(err) || !strings.Contains(err.Error(), want) {
						t.Fatalf("force %v: %v, want misuse with %q", force, err, want)
					}
					wantNames(t, dir, before...)
					continue
				}
				if err != nil {
					t.Fatalf("force %v: %v", force, err)
				}
				for _, file := range names(t, dir) {
					switch file {
					case "result.json", "run.lock", "notes.txt", ".nfs000001":
					default:
						t.Errorf("force %v: %s is still there", force, file)
					}
				}
				if _, had := c.files["notes.txt"]; had {
					wantContent(t, r.Path("notes.txt"), "n")
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestCreateWhereNoneCanBe(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "file", "x")
	for name, c := range map[string]struct{ path, want string }{
		"no name":      {"", "no run directory named"},
		"a file":       {filepath.Join(dir, "file"), "not a directory"},
		"below a file": {filepath.Join(dir, "file", "run"), "not a directory"},
		"too long":     {filepath.Join(dir, strings.Repeat("x", 300)), "file name too long"},
		"a NUL":        {dir + "/a\x00b", "invalid argument"},
	} {
		_, err := Create(c.path, Options{})
		oneLine(t, err)
		if !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want misuse with %q", name, err, c.want)
		}
	}
}

func TestWriteFileNames(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	for _, name := range []string{"", ".", "..", "a/b", "/etc/x", "../x", FileLock} {
		if err := r.WriteFile(name, nil); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if err := r.WriteJSON("x.json", func() {}); err == nil || !strings.Contains(err.Error(), "x.json") {
		t.Errorf("a value that is no JSON: %v", err)
	}
	wantNames(t, r.dir, "result.json", "run.lock")
}

func TestDirectoryVanishes(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteFile("a", nil); err == nil || !strings.Contains(err.Error(), r.Path("a")) {
		t.Errorf("WriteFile: %v", err)
	}
	if err := r.Finish(StatusComplete, nil); err == nil {
		t.Error("Finish said nothing")
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestDirectoryVanishesUnderItsEvents(t *testing.T) {
	for name, vanish := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"removed and made anew": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, FileEvents), nil, 0o600))
		},
	} {
		r := create(t, filepath.Join(t.TempDir(), "run"))
		event := PhaseEvent{Kind: KindPhase, Phase: "unlearn", State: PhaseStart}
		if err := r.Event(event); err != nil {
			t.Fatal(err)
		}
		if err := vanish(r.dir); err != nil {
			t.Fatal(err)
		}
		err := r.Event(event)
		oneLine(t, err)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "was removed") {
			t.Errorf("%s: %v", name, err)
		}
		_ = r.Close() // its lock went as well
	}
}

func TestReadResultRefuses(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"missing":     {"", "holds no result.json"},
		"no JSON":     {"hello", "not the result of a run"},
		"truncated":   {`{"status":"comp`, "not the result of a run"},
		"a list":      {`[]`, "not the result of a run"},
		"null":        {`null`, "unknown status"},
		"wrong types": {`{"status":"complete","layers":[{"scores":"x"}]}`, "not the result of a run"},
		"no status":   {`{}`, "unknown status"},
	} {
		dir := t.TempDir()
		if c.content != "" {
			put(t, dir, FileResult, c.content)
		}
		_, err := ReadResult(dir)
		oneLine(t, err)
		if !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want misuse with %q", name, err, c.want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	const workers, each = 8, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				if err := r.Event(EpochEvent{Kind: KindEpoch, Phase: fmt.Sprint(w), Epoch: i + 1}); err != nil {
					t.Error(err)
				}
			}
			if err := r.WriteFile("shared", []byte(strings.Repeat(fmt.Sprint(w), 1000))); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	epochs, err := ReadEpochs(r.dir)
	if err != nil || len(epochs) != workers*each {
		t.Errorf("%d epochs, %v", len(epochs), err)
	}
	var closers sync.WaitGroup
	for range 4 {
		closers.Add(1)
		go func() {
			defer closers.Done()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	closers.Wait()
	wantNames(t, r.dir, "events.jsonl", "result.json", "shared")
}
