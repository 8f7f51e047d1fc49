package config

import (
	"reflect"
	"testing"
)

func TestSet(t *testing.T) {
	for _, x := range []struct {
		set string
		get func(*Config) any
		got any
	}{
		{"relearn.lr=1e-3", func(c *Config) any { return c.Relearn.LR }, 1e-3},
		{"relearn.lr= 1 ", func(c *Config) any { return c.Relearn.LR }, 1.0},
		{" unlearn.epochs =3", func(c *Config) any { return c.Unlearn.Epochs }, 3},
		{"clean.balanced=true", func(c *Config) any { return c.Clean.Balanced }, true},
		{"name=007", func(c *Config) any { return c.Name }, "007"},
		{"model.path=a=b", func(c *Config) any { return c.Model.Path }, "a=b"},
		{"model.path=true", func(c *Config) any { return c.Model.Path }, "true"},
		{"model.path=", func(c *Config) any { return c.Model.Path }, ""},
		{"suspicious.layers=layer3.*,layer4.*", func(c *Config) any { return c.Suspicious.Layers }, []string{"layer3.*", "layer4.*"}},
		{`suspicious.layers=["head", 'a.*']`, func(c *Config) any { return c.Suspicious.Layers }, []string{"head", "a.*"}},
		{"suspicious.layers=*.conv", func(c *Config) any { return c.Suspicious.Layers }, []string{"*.conv"}},
		{"unlearn.milestones=[1, 2]", func(c *Config) any { return c.Unlearn.Milestones }, []int{1, 2}},
		{"unlearn.milestones=5", func(c *Config) any { return c.Unlearn.Milestones }, []int{5}},
		{"unlearn.milestones=[]", func(c *Config) any { return c.Unlearn.Milestones }, []int{}},
		{"unlearn.milestones=", func(c *Config) any { return c.Unlearn.Milestones }, []int{}},
	} {
		t.Run(x.set, func(t *testing.T) {
			c := must(t, "", Options{Sets: []string{x.set}})
			if got := x.get(c); !reflect.DeepEqual(got, x.got) {
				t.Errorf("got %#v, want %#v", got, x.got)
			}
		})
	}
}

func TestSetErrors(t *testing.T) {
	for _, x := range []struct{ set, want string }{
		{"relearn.lr", "--set relearn.lr: wanted key=value, such as relearn.lr=0.01"},
		{"", `--set "": wanted key=value, such as relearn.lr=0.01`},
		{"=1", `--set "": unknown key; known here: ` + topKeys},
		{"relearn.lrr=1", "--set relearn.lrr: unknown key; did you mean relearn.lr?"},
		{"relearning.lr=1", "--set relearning.lr: unknown key; did you mean relearn.lr?"},
		{"lr=1", "--set lr: unknown key; did you mean attack.inputaware.lr or attack.lira.lr or attack.ssba.lr or attack.train.lr or unlearn.lr or relearn.lr?"},
		{"data.size.0=3", "--set data.size.0: unknown key; did you mean data.size?"},
		{"relearn.=1", "--set relearn.: unknown key; did you mean relearn.lr?"},
		{"a\nb=1", `--set "a\nb": unknown key; known here: ` + topKeys},
		{"eval=1", "--set eval: a section cannot be set, its keys can: batch_size"},
		{"extends=a.yaml", "--set extends: works in files only"},
		{"unlearn.epochs=2.5", `--set: unlearn.epochs is "2.5", wanted a whole number from 1 to 10000`},
		{"unlearn.epochs=", `--set: unlearn.epochs is "", wanted a whole number from 1 to 10000`},
		{"unlearn.epochs=0", "--set: unlearn.epochs is 0, wanted a whole number from 1 to 10000"},
		{"clean.balanced=1", `--set: clean.balanced is "1", wanted true or false`},
		{"unlearn.milestones=1,,2", `--set: unlearn.milestones is "1,,2", wanted a list of whole numbers, at least 1`},
		{"suspicious.layers=a,,b", `--set: suspicious.layers is ["a" "" "b"], wanted a list of head, all or name patterns such as layer4.*, none empty and none twice`},
		{"model.path=\xff", "--set: model.path is not UTF-8 text"},
		{"output=", `--set: output is "", wanted a string that is not empty`},
	} {
		t.Run(x.set, func(t *testing.T) {
			if _, msg := loadText(t, "", Options{Sets: []string{x.set}}); msg != x.want {
				t.Errorf("got  %s\nwant %s", msg, x.want)
			}
		})
	}
}

func TestEnvErrors(t *testing.T) {
	for _, x := range []struct{ env, want string }{
		{"ULRL_RELEARN_LRR=1", "environment variable ULRL_RELEARN_LRR: no config key has this name; did you mean ULRL_RELEARN_LR?"},
		{"ULRL_QQQQQQQQQQ=1", "environment variable ULRL_QQQQQQQQQQ: no config key has this name; unset it"},
		{"ULRL_RELEARN=1", "environment variable ULRL_RELEARN: no config key has this name; did you mean ULRL_RELEARN_LR?"},
		{"ULRL_EXTENDS=a", "environment variable ULRL_EXTENDS: no config key has this name; did you mean ULRL_THREADS?"},
		{"ULRL_=1", "environment variable ULRL_: no config key has this name; unset it"},
		{"ULRL_RELEARN_LR=x", `ULRL_RELEARN_LR: relearn.lr is "x", wanted ` + lrRange},
		{"ULRL_RELEARN_LR=", `ULRL_RELEARN_LR: relearn.lr is "", wanted ` + lrRange},
		{"ULRL_RELEARN_LR=-1", "ULRL_RELEARN_LR: relearn.lr is -1, wanted " + lrRange},
		{"ULRL_RELEARN_BATCH_SIZE=0", "ULRL_RELEARN_BATCH_SIZE: relearn.batch_size is 0, wanted a whole number from 2 to 65536"},
		{"ULRL_LOG_LEVEL=whatever", ""},
		{"ulrl_seed=x", ""},
	} {
		t.Run(x.env, func(t *testing.T) {
			if _, msg := loadText(t, "", Options{Env: []string{x.env}}); msg != x.want {
				t.Errorf("got  %s\nwant %s", msg, x.want)
			}
		})
	}
}
