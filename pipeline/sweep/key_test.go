package sweep

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a result follows from changes its key; where it goes and how fast does not.
func TestKeys(t *testing.T) {
	s := newSite(t)
	key := func(sets ...string) (attack, clean string) {
		t.Helper()
		spec := s.spec()
		spec.Sets = sets
		p := s.plan(spec)
		return p.Jobs[0].Key, p.Jobs[1].Key
	}
	attack, clean := key()
	for _, c := range []struct {
		set                         string
		attackChanges, cleanChanges bool
	}{
		{"threads=1", false, false},
		{"output=elsewhere", false, false},
		{"attack.output=elsewhere", false, false},
		{"attack.clean_model.dir=elsewhere", false, false},
		{"relearn.lr=0.02", false, true},
		{"name=other", false, true},
		{"attack.train.epochs=3", true, true},
		{"seed=1", true, true},
	} {
		a, b := key(c.set)
		if (a != attack) != c.attackChanges || (b != clean) != c.cleanChanges {
			t.Errorf("%s: attack changes %v, cleaning changes %v", c.set, a != attack, b != clean)
		}
	}
	if err := os.Remove(s.path("data", "train", "0", "000.png")); err != nil {
		t.Fatal(err)
	}
	if a, b := key(); a == attack || b == clean {
		t.Error("a data set that lost an image has the same key")
	}
	model := s.write("mine.pt", "one")
	spec := s.spec()
	spec.Sets = []string{"model.path=" + model}
	first := s.plan(spec)
	s.write("mine.pt", "two")
	if second := s.plan(spec); len(first.Jobs) != 1 || second.Jobs[0].Key == first.Jobs[0].Key {
		t.Errorf("a model of one's own: %d jobs; its content is not in the key", len(first.Jobs))
	}
}

// A file that changed and is as long as before is another file, where the folder
// is not one of thousands of images.
func TestKeysOfFolders(t *testing.T) {
	s := newSite(t)
	key := func(sets ...string) string {
		t.Helper()
		spec := s.spec()
		spec.Sets = sets
		return s.plan(spec).Jobs[0].Key
	}
	for _, name := range []string{"many", "cifar"} {
		if err := os.Mkdir(s.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("cifar", s.path("link")); err != nil {
		t.Fatal(err)
	}
	many := filepath.Dir(s.write("many/images.csv", "file,class,target\n1.png,1,0\n"))
	for i := range 1000 {
		s.write(fmt.Sprintf("many/%d.png", i), "x")
	}
	folder := filepath.Dir(s.write("cifar/test_batch.bin", "one"))
	recorded := []string{"attack.name=recorded", "model.path=" + s.write("m.pt", "m"), "attack.images=" + many}
	cifar := []string{"data.kind=cifar", "data.train=", "data.test=", "data.size=[]", "data.channels=0", "data.dir=" + folder}
	image, err := os.ReadFile(s.path("data", "train", "0", "000.png"))
	if err != nil {
		t.Fatal(err)
	}
	// Where both sets are named nothing is read in data.dir, which need not be there.
	named := []string{"data.kind=folder", "data.dir=/nowhere", "data.train=" + s.path("data", "train"), "data.test=" + s.path("data", "test")}
	if key(named...) == "" {
		t.Error("no key")
	}
	for _, x := range []struct {
		name, file, text string
		sets             []string
		changes          bool
	}{
		{"another target", "many/images.csv", "file,class,target\n1.png,1,2\n", recorded, true},
		{"one image of many", "many/1.png", "y", recorded, false},
		{"a batch", "cifar/test_batch.bin", "two", cifar, true},
		{"a batch behind a link", "cifar/test_batch.bin", "six", append(cifar, "data.dir="+s.path("link")), true},
		{"an image of few", "data/train/0/000.png", strings.Repeat("y", len(image)), nil, true},
	} {
		before := key(x.sets...)
		s.write(x.file, x.text)
		if changed := key(x.sets...) != before; changed != x.changes {
			t.Errorf("%s: key changes %v, want %v", x.name, changed, x.changes)
		}
	}
}
