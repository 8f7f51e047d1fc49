package pipeline

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"ulrl/pipeline/runstore"
)

// Each method ends with a model of its own, the same for the same seed, and says
// in its result which one it was.
func TestMethods(t *testing.T) {
	f := newFixture(t)
	f.attack()
	models := map[string][]byte{}
	for _, method := range []string{"ulrl", "ft", "ft-sam"} {
		clean := func(out string) ([]byte, *runstore.Result) {
			t.Helper()
			c := f.config("defense.method="+method, "suspicious.rule=ratio", "relearn.epochs=2", "output="+f.path(out))
			result, err := Run(context.Background(), c, f.env, RunOptions{})
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			data, err := os.ReadFile(f.path(out, "cleaned.pt"))
			if err != nil {
				t.Fatal(err)
			}
			return data, result
		}
		first, result := clean(method)
		if again, _ := clean(method + "-again"); !reflect.DeepEqual(first, again) {
			t.Errorf("%s: the same seed gave another model", method)
		}
		for other, data := range models {
			if reflect.DeepEqual(first, data) {
				t.Errorf("%s gave the model of %s", method, other)
			}
		}
		models[method] = first
		if _, unlearned := result.Seconds["unlearn"]; unlearned != (method == "ulrl") || result.OnlyTuned() == unlearned {
			t.Errorf("%s: seconds of %v", method, result.Seconds)
		}
		text, err := os.ReadFile(f.path(method, runstore.FileResult))
		if err != nil {
			t.Fatal(err)
		}
		var written struct{ Method string }
		if err := json.Unmarshal(text, &written); err != nil || written.Method != method {
			t.Errorf("result.json says %q of %s, %v", written.Method, method, err)
		}
	}
}
