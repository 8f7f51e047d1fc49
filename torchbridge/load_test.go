package torchbridge

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// What load.c looks for must be what the header declares: a function that is
// missing from the list would not link, one too many would not load.
func TestFunctionsAreTheHeaders(t *testing.T) {
	names := func(file, pattern string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	listed := names("functions.h", `(?m)^F\((tb_\w+)\)$`)
	declared := slices.Compact(names("torchbridge.h", `\b(tb_[a-z0-9_]+)\(`))
	if !slices.Equal(listed, declared) {
		t.Errorf("functions.h lists %v, torchbridge.h declares %v", listed, declared)
	}
}
