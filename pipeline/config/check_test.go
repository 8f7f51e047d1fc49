package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Values out of range: each rule at its edges, the message in full.
func TestRanges(t *testing.T) {
	const (
		whole     = "a whole number"
		batch     = "a whole number from 1 to 65536"
		pairs     = "a whole number from 2 to 65536"
		epochs    = "a whole number from 1 to 10000"
		momentum  = "a number, at least 0 and below 1"
		share     = "a number from 0 to 1"
		positive  = "a number above 0 and at most 1"
		lr        = "a number above 0 and at most 10"
		layerRule = "a list of head, all or name patterns such as layer4.*, none empty and none twice"
	)
	tested := map[string]bool{"output": true, "attack.output": true, "attack.clean_model.dir": true} // by "required", in TestSetErrors
	for _, x := range []struct {
		key       string
		good, bad string // separated by blanks
		wanted    string
	}{
		{"name", "a A-b_c.9 ..a", "a/b . .. ... ä " + strings.Repeat("x", 101), nameRule},
		{"device", "auto cpu cuda cuda:0 cuda:15", "gpu cuda: cuda:-1 cuda:x CPU cuda:1234", "auto, cpu, cuda or cuda:N"},
		{"threads", "0 1024", "-1 1025", whole + " from 0 to 1024"},
		{"data.name", "mnist gtsrb", "svhn", "one of fashion-mnist, mnist, cifar10, cifar100, gtsrb, tiny-imagenet, custom"},
		{"data.kind", "folder", "zip", "one of idx, folder, cifar, gtsrb, tiny-imagenet, npy, auto"},
		{"data.classes", "0 2 100000", "-1 100001", whole + " from 0 to 100000"},
		{"data.channels", "0", "2 4 -1", "one of 0, 1, 3"},
		{"data.size", "[]", "[32] [1,2,3] [0,5] [5,4097]", "[] or a list of 2 whole numbers from 1 to 4096"},
		{"data.mean", "[]", "[-0.1] [1.1]", "a list of numbers from 0 to 1"},
		{"data.std", "[]", "[0] [1.1]", "a list of numbers above 0 and at most 1"},
		{"data.flip", "auto on off", "maybe", "one of auto, on, off"},
		{"clean.count", "1 99999999", "-1", whole + ", at least 0"},
		{"clean.ratio", "0", "-0.1 1.1", share},
		{"attack.name", "none badnets blended blind bpp ftrojan inputaware lc lf lira sig ssba trojannn wanet", "badnet", "one of none, recorded, badnets, blended, blind, bpp, ftrojan, inputaware, lc, lf, lira, sig, ssba, trojannn, wanet"},
		{"attack.target", "0 9", "-1", whole + ", at least 0"},
		{"attack.label_mode", "all2all", "one2one", "one of all2one, all2all"},
		{"attack.poison_rate", "0.001 0.999", "0 1 -1", "a number above 0 and below 1"},
		{"attack.trigger.size", "1 4096", "0 4097", whole + " from 1 to 4096"},
		{"attack.trigger.margin", "0 4096", "-1 4097", whole + " from 0 to 4096"},
		{"attack.trigger.value", "0 255", "-1 256", whole + " from 0 to 255"},
		{"attack.blended.alpha", "1 0.01", "0 1.1", positive},
		{"attack.sig.delta", "255 0.5", "0 256", "a number above 0 and at most 255"},
		{"attack.sig.frequency", "4096 0.5", "0 4097", "a number above 0 and at most 4096"},
		{"attack.wanet.strength", "10 0.5", "0 10.1", lr},
		{"attack.wanet.grid", "2 64", "1 65", whole + " from 2 to 64"},
		{"attack.bpp.levels", "2 128", "1 129", whole + " from 2 to 128"},
		{"attack.ftrojan.magnitude", "10000 0.5", "0 10001", "a number above 0 and at most 10000"},
		{"attack.ftrojan.window", "4 512", "3 513", whole + " from 4 to 512"},
		{"attack.blind.clean_weight", "1000 0.1", "0 1001", "a number above 0 and at most 1000"},
		{"attack.blind.trigger_weight", "1000 0.1", "0 1001", "a number above 0 and at most 1000"},
		{"attack.blind.threshold", "0.1 100", "0 -1", "a number above 0"},
		{"attack.inputaware.density", "1 0.01", "0 1.1", positive},
		{"attack.inputaware.diversity", "0 1000", "-1 1001", "a number from 0 to 1000"},
		{"attack.inputaware.mask_weight", "0.1 10000", "0 10001", "a number above 0 and at most 10000"},
		{"attack.inputaware.lr", "1 0.01", "0 1.1", positive},
		{"attack.inputaware.mask_epochs", "1 10000", "0 10001", epochs},
		{"attack.lc.amplitude", "1 0.01", "0 1.1", positive},
		{"attack.lc.epsilon", "0 255", "-1 256", "a number from 0 to 255"},
		{"attack.lc.steps", "1 1000", "0 1001", whole + " from 1 to 1000"},
		{"attack.lf.bound", "255 0.5", "0 256", "a number above 0 and at most 255"},
		{"attack.lf.frequencies", "1 512", "0 513", whole + " from 1 to 512"},
		{"attack.lf.updates", "1 1000000", "0 1000001", whole + " from 1 to 1000000"},
		{"attack.lira.epsilon", "1 0.01", "0 1.1", positive},
		{"attack.lira.alpha", "0.01 0.999", "0 1", "a number above 0 and below 1"},
		{"attack.lira.lr", "1 0.01", "0 1.1", positive},
		{"attack.lira.generator_epochs", "1 10000", "0 10001", epochs},
		{"attack.ssba.bits", "1 1024", "0 1025", whole + " from 1 to 1024"},
		{"attack.ssba.epsilon", "1 0.01", "0 1.1", positive},
		{"attack.ssba.image_weight", "0 10000", "-1 10001", "a number from 0 to 10000"},
		{"attack.ssba.epochs", "1 10000", "0 10001", epochs},
		{"attack.ssba.lr", "1 0.01", "0 1.1", positive},
		{"attack.trojannn.neurons", "1 1000", "0 1001", whole + " from 1 to 1000"},
		{"attack.trojannn.value", "0.5 100000", "0 100001", "a number above 0 and at most 100000"},
		{"attack.trojannn.updates", "1 1000000", "0 1000001", whole + " from 1 to 1000000"},
		{"attack.clean_model.epochs", "1 10000", "0 10001", epochs},
		{"attack.cross_ratio", "0 9", "-1 10", "a number from 0 to 9"},
		{"attack.arch.name", "preactresnet18 vgg19_bn vit_b_16 densenet161", "resnet", "one of preactresnet18, vgg16, vgg16_bn, vgg19, vgg19_bn, vit_b_16, resnet18, resnet34, resnet50, convnext_tiny, mobilenet_v3_large, efficientnet_b0, efficientnet_b3, densenet121, densenet161"},
		{"attack.arch.width", "0 1 1024", "-1 1025", whole + " from 0 to 1024"},
		{"attack.train.samples", "0 1", "-1", whole + ", at least 0"},
		{"attack.train.epochs", "1 10000", "0 10001", epochs},
		{"attack.train.batch_size", "2 65536", "1 65537", pairs},
		{"attack.train.lr", "10 1e-9", "0 10.1", lr},
		{"attack.train.momentum", "0.99", "1 -0.1", momentum},
		{"attack.train.weight_decay", "0 1", "-1 1.1", share},
		{"attack.train.clip_norm", "0 1e9", "-1", "a number, at least 0"},
		{"attack.train.precision", "float32 tf32 bfloat16 float16", "half", "one of float32, tf32, bfloat16, float16"},
		{"defense.method", "ulrl ft ft-sam", "prune", "one of ulrl, ft, ft-sam"},
		{"relearn.counter.suspects", "1 1000", "0 1001", "a whole number from 1 to 1000"},
		{"relearn.counter.floor", "0 1", "-0.1 1.1", share},
		{"relearn.stride", "0 1", "-0.1 1.1", "a number from 0 to 1"},
		{"relearn.lookback", "0 0.9", "-0.1 1", momentum},
		{"relearn.back", "0 0.9", "-0.1 1", momentum},
		{"relearn.rho", "0 100", "-0.1 100.1", "a number from 0 to 100"},
		{"unlearn.precision", "float32 tf32 bfloat16 float16", "half", "one of float32, tf32, bfloat16, float16"},
		{"relearn.precision", "float32 tf32 bfloat16 float16", "half", "one of float32, tf32, bfloat16, float16"},
		{"attack.train.schedule", "onecycle cosine constant", "step", "one of onecycle, cosine, constant"},
		{"unlearn.epochs", "1 10000", "0 10001", epochs},
		{"unlearn.batch_size", "2 65536", "1 65537", pairs},
		{"unlearn.min_batches", "1 4 65536", "0 65537", batch},
		{"relearn.attempts", "1 2 10", "0 11", "a whole number from 1 to 10"},
		{"relearn.min_batches", "1 4 65536", "0 65537", batch},
		{"unlearn.lr", "10", "0 10.1", lr},
		{"unlearn.momentum", "0 0.99", "1 -0.1", momentum},
		{"unlearn.weight_decay", "0 1", "-1 1.1", share},
		{"unlearn.milestones", "[] [1] [1,2]", "[0] [-1]", "a list of whole numbers, at least 1"},
		{"unlearn.gamma", "1", "0 1.1", positive},
		{"unlearn.clip_norm", "0 1e9", "-1", "a number, at least 0"},
		{"unlearn.stop_accuracy", "0 1", "-0.1 1.1", share},
		{"suspicious.rule", "mad ratio", "zscore", "one of mad, ratio"},
		{"suspicious.layers", "head all head,layer4.* [layer[34].*]", "[] [ [a a,a", layerRule},
		{"suspicious.threshold", "0.1 100", "0 -1", "a number above 0"},
		{"suspicious.max", "0 5", "-1", whole + ", at least 0"},
		{"suspicious.order", "score index", "name", "one of score, index"},
		{"suspicious.ratio", "1 0.01", "0 1.1", positive},
		{"relearn.epochs", "1 10000", "0 10001", epochs},
		{"relearn.batch_size", "2 65536", "1 65537", pairs},
		{"relearn.lr", "10", "0 10.1", lr},
		{"relearn.momentum", "0 0.99", "1 -0.1", momentum},
		{"relearn.weight_decay", "0 1", "-1 1.1", share},
		{"relearn.alpha", "0 1000", "-0.1 1001", "a number from 0 to 1000"},
		{"relearn.distill", "0 0.9 1", "-0.1 1.1", share},
		{"relearn.counter.weight", "0 0.5 1000", "-1 1001", "a number from 0 to 1000"},
		{"relearn.counter.radius", "0.1 1", "0 1.1", "a number above 0 and at most 1"},
		{"relearn.counter.sample_radius", "0 1", "-0.1 1.1", share},
		{"relearn.counter.bend", "0 1", "-0.1 1.1", share},
		{"relearn.counter.wave", "0 1", "-0.1 1.1", share},
		{"relearn.counter.pixels", "0 1", "-0.1 1.1", share},
		{"relearn.counter.patch", "0 1", "-0.1 1.1", share},
		{"relearn.counter.dense_labels", "0 1000", "-1 1001", "a number from 0 to 1000"},
		{"relearn.counter.sparse_labels", "0 1000", "-1 1001", "a number from 0 to 1000"},
		{"relearn.counter.share", "0.1 1", "0 1.1", "a number above 0 and at most 1"},
		{"relearn.counter.steps", "1 1000", "0 1001", whole + " from 1 to 1000"},
		{"relearn.counter.sample_steps", "1 1000", "0 1001", whole + " from 1 to 1000"},
		{"relearn.counter.enough", "0 1", "-0.1 1.1", share},
		{"relearn.counter.restart", "0 1", "-0.1 1.1", share},
		{"clean.poisoned", "0", "-1", whole + ", at least 0"},
		{"relearn.eval_every", "0 1", "-1", whole + ", at least 0"},
		{"eval.batch_size", "1 65536", "0 65537", batch},
	} {
		tested[x.key] = true
		t.Run(x.key, func(t *testing.T) {
			for _, v := range strings.Fields(x.good) {
				if _, err := Default(Options{Sets: []string{x.key + "=" + v}}); err != nil {
					t.Error(err)
				}
			}
			f := schema().find(x.key)
			for _, v := range strings.Fields(x.bad) {
				shown := v
				switch {
				case f.list && f.kind == reflect.String:
					shown = map[string]string{"[]": "[]", "[": `["["]`, "[a": `["[a"]`, "a,a": `["a" "a"]`}[v]
				case f.list:
					shown = strings.ReplaceAll(v, ",", ", ")
				case f.kind == reflect.String:
					shown = quoted(v)
				}
				_, err := Default(Options{Sets: []string{x.key + "=" + v}})
				if want := "--set: " + x.key + " is " + shown + ", wanted " + x.wanted; err == nil || err.Error() != want {
					t.Errorf("%s\ngot  %v\nwant %s", v, err, want)
				}
			}
		})
	}
	for _, f := range schema().leaves() {
		if f.rule != "" && !tested[f.key] {
			t.Errorf("the range of %s is not tested", f.key)
		}
	}
}

// The message names the layer that set the value.
func TestRangeNamesTheLayer(t *testing.T) {
	if _, msg := loadText(t, "seed: 1\nrelearn:\n  lr: -1\n  alpha: -1\n", Options{}); msg !=
		"exp.yaml:3: relearn.lr is -1, wanted a number above 0 and at most 10 (and 1 more)" {
		t.Error(msg)
	}
	// What a higher layer mends is no problem.
	must(t, "relearn: {lr: -1}", Options{Sets: []string{"relearn.lr=1"}})
}

// What is out of range hides nothing that does not go together, nor is blamed a second time.
func TestRangesAndTogether(t *testing.T) {
	text := "seed: 1\nclean:\n  ratio: 0.01\n  count: -5\nunlearn:\n  milestones: [5, 5]\nrelearn:\n  lr: -1\n"
	_, err := Load(filepath.Join(write(t, map[string]string{"exp.yaml": text}), "exp.yaml"), Options{})
	var got []string
	for _, problem := range Problems(err) {
		_, problem, _ = strings.Cut(problem, "exp.yaml:")
		got = append(got, problem)
	}
	want := []string{
		"4: clean.count is -5, wanted a whole number, at least 0",
		"6: unlearn.milestones is [5, 5]: each epoch must be above the one before it",
		"8: relearn.lr is -1, wanted a number above 0 and at most 10",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// Of a key that is misspelt nobody knows what it was to say.
	if _, msg := loadText(t, "atack: {name: recorded}\nattack: {images: a}\n", Options{}); msg != "exp.yaml:1: unknown key atack; did you mean attack?" {
		t.Error(msg)
	}
}

// Values that are each in range and do not go together.
func TestTogether(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"both", "clean:\n  ratio: 0.01\n  count: 5", "clean.count is 5 (exp.yaml:3) and clean.ratio is 0.01 (exp.yaml:2): exactly one of them must be above 0"},
		{"ratio over base's count", "clean: {ratio: 1}", ""},
		{"count over base's", "clean: {count: 300}", ""},
		{"neither", "clean: {count: 0}", "clean.count is 0 (exp.yaml:1) and clean.ratio is 0 (built-in base.yaml:{clean.ratio}): exactly one of them must be above 0"},
		{"poison without a trigger", "clean: {poisoned: 3}\nattack: {name: none}", `clean.poisoned is 3 (exp.yaml:1) and attack.name is "none" (exp.yaml:2): only an attack that makes triggers can poison samples`},
		{"ft-sam on the plain", "defense: {method: ft-sam}\nrelearn: {rho: 0}", `defense.method is "ft-sam" (exp.yaml:1) and relearn.rho is 0 (exp.yaml:2): sharpness-aware fine-tuning looks up the slope: relearn.rho must be above 0`},
		{"ratio alone", "clean: {count: 0, ratio: 1}", ""},
		{"one class", "data: {classes: 1}", "exp.yaml:1: data.classes is 1: a classifier has 2 classes or more; 0 takes what is in the data"},
		{"idx channels", "data: {channels: 3}", `data.kind is "idx" (built-in base.yaml:{data.kind}) and data.channels is 3 (exp.yaml:1): the latter is for kind folder, gtsrb, tiny-imagenet, auto only`},
		{"idx size", "data: {size: [32, 32]}", `data.kind is "idx" (built-in base.yaml:{data.kind}) and data.size is [32, 32] (exp.yaml:1): the latter is for kind folder, gtsrb, tiny-imagenet, auto only`},
		{"folder", "data: {kind: folder, channels: 3, size: [32, 32]}", ""},
		{"folder labels", "data: {kind: folder, train_labels: a}", `data.kind is "folder" (exp.yaml:1) and data.train_labels is "a" (exp.yaml:1): the latter is for kind idx, npy only`},
		{"folder test labels", "data: {kind: folder, test_labels: a}", `data.kind is "folder" (exp.yaml:1) and data.test_labels is "a" (exp.yaml:1): the latter is for kind idx, npy only`},
		{"cifar", "data: {kind: cifar, dir: a, test: none}", ""},
		{"cifar size", "data: {kind: cifar, size: [32, 32]}", `data.kind is "cifar" (exp.yaml:1) and data.size is [32, 32] (exp.yaml:1): the latter is for kind folder, gtsrb, tiny-imagenet, auto only`},
		{"cifar file", "data: {kind: cifar, train: a}", `data.kind is "cifar" (exp.yaml:1) and data.train is "a" (exp.yaml:1): the latter is for kind idx, folder, npy only`},
		{"gtsrb test", "data: {kind: gtsrb, test: a}", `data.kind is "gtsrb" (exp.yaml:1) and data.test is "a" (exp.yaml:1): the latter is for kind idx, folder, npy only`},
		{"gtsrb", "data: {kind: gtsrb, dir: a, channels: 3, size: [48, 48]}", ""},
		{"tiny", "data: {kind: tiny-imagenet, dir: ''}", `data.dir is "" (exp.yaml:1) and data.train is "" (built-in base.yaml:{data.train}): one of them must say where the images are (and 1 more)`},
		{"auto", "data: {kind: auto, dir: a, channels: 3, size: [48, 48]}", ""},
		{"npy", "data: {kind: npy, train: a.npy, train_labels: b.npy, test: none}", ""},
		{"npz", "data: {kind: npy, train: a.npz, test: a.npz}", ""},
		{"NPZ", "data: {kind: npy, train: a.NPZ, test: a.Npz}", ""},
		{"NPZ labels", "data: {kind: npy, train: a.NPZ, train_labels: b, test: none}", `data.train is "a.NPZ" (exp.yaml:1) and data.train_labels is "b" (exp.yaml:1): an .npz file has the labels in it`},
		{"npy alone", "data: {kind: npy, test: none}", `data.kind is "npy" (exp.yaml:1) and data.train is "" (built-in base.yaml:{data.train}): kind npy wants the file of images named`},
		{"npy test", "data: {kind: npy, train: a.npz}", `data.kind is "npy" (exp.yaml:1) and data.test is "" (built-in base.yaml:{data.test}): kind npy wants the file of images named`},
		{"npy labels", "data: {kind: npy, train: a.npy, test: none}", `data.train is "a.npy" (exp.yaml:1) and data.train_labels is "" (built-in base.yaml:{data.train_labels}): name the .npy file of labels, or an .npz file that has both`},
		{"npz labels", "data: {kind: npy, train: a.npz, test: a.npz, test_labels: b}", `data.test is "a.npz" (exp.yaml:1) and data.test_labels is "b" (exp.yaml:1): an .npz file has the labels in it`},
		{"no images", "data: {dir: '', test: none}", `data.dir is "" (exp.yaml:1) and data.train is "" (built-in base.yaml:{data.train}): one of them must say where the images are`},
		{"no test images", "data: {dir: '', train: a}", `data.dir is "" (exp.yaml:1) and data.test is "" (built-in base.yaml:{data.test}): one of them must say where the images are; data.test none is for no test set`},
		{"files alone", "data: {dir: '', train: a, test: b}", ""},
		{"mean alone", "data: {mean: [0.5]}", "data.mean is [0.5] (exp.yaml:1) and data.std is [] (built-in base.yaml:{data.std}): both must have one number per channel, or none"},
		{"mean and std", "data: {mean: [0.5], std: [0.5, 0.5, 0.5]}", "data.mean is [0.5] (exp.yaml:1) and data.std is [0.5, 0.5, 0.5] (exp.yaml:1): both must have one number per channel, or none"},
		{"channels of mean", "data: {kind: folder, channels: 3, mean: [0.5], std: [0.5]}", "data.mean is [0.5] (exp.yaml:1) and data.channels is 3 (exp.yaml:1): wanted one number per channel"},
		{"custom", "data: {name: custom}", `data.name is "custom" (exp.yaml:1) and data.mean is [] (built-in base.yaml:{data.mean}): give mean and std as the model was trained with; [0] and [1] for none`},
		{"custom with numbers", "data: {name: custom, mean: [0], std: [1]}", ""},
		{"target", "attack: {target: 10}", "attack.target is 10 (exp.yaml:1) and data.classes is 10 (built-in base.yaml:{data.classes}): the target must be one of the classes, counted from 0"},
		{"target of unknown classes", "attack: {target: 10}\ndata: {classes: 0}", ""},
		{"clean labels of all", "attack: {name: lc, label_mode: all2all}", `attack.name is "lc" (exp.yaml:1) and attack.label_mode is "all2all" (exp.yaml:1): a clean-label attack poisons images of the one target class: it needs all2one`},
		{"stripes on clean labels of all", "attack: {name: sig, label_mode: all2all, sig: {clean_label: true}}", `attack.name is "sig" (exp.yaml:1) and attack.label_mode is "all2all" (exp.yaml:1): a clean-label attack poisons images of the one target class: it needs all2one`},
		{"stripes of all", "attack: {name: sig, label_mode: all2all}", ""},
		{"recorded", "attack: {name: recorded}", `attack.name is "recorded" (exp.yaml:1) and attack.images is "" (built-in base.yaml:{attack.images}): recorded needs the folder of triggered images, and no other attack takes one`},
		{"images", "attack: {images: a}", `attack.name is "none" (built-in base.yaml:{attack.name}) and attack.images is "a" (exp.yaml:1): recorded needs the folder of triggered images, and no other attack takes one`},
		{"pattern", "attack: {trigger: {pattern: a.png}}", `attack.trigger.pattern is "a.png" (exp.yaml:1) and attack.trigger.mask is "" (built-in base.yaml:{attack.trigger.mask}): give both files or neither`},
		{"mask", "attack: {trigger: {mask: a.png}}", `attack.trigger.pattern is "" (built-in base.yaml:{attack.trigger.pattern}) and attack.trigger.mask is "a.png" (exp.yaml:1): give both files or neither`},
		{"pattern and mask", "attack: {trigger: {pattern: a.png, mask: b.png}}", ""},
		{"nesterov", "attack: {train: {momentum: 0}}", "attack.train.nesterov is true (built-in base.yaml:{attack.train.nesterov}) and attack.train.momentum is 0 (exp.yaml:1): Nesterov's needs a momentum above 0"},
		{"milestones", "unlearn: {milestones: [10, 5]}", "exp.yaml:1: unlearn.milestones is [10, 5]: each epoch must be above the one before it"},
		{"milestones twice", "unlearn: {milestones: [5, 5]}", "exp.yaml:1: unlearn.milestones is [5, 5]: each epoch must be above the one before it"},
		{"all", "suspicious: {layers: [head, all]}", `exp.yaml:1: suspicious.layers is ["head" "all"]: all stands alone`},
		{"variable", "output: ${HOME}/x", `exp.yaml:1: output is "${HOME}/x": only ${name} is replaced in paths`},
		{"tilde", "data: {dir: ~/x}", `exp.yaml:1: data.dir is "~/x": ~ is not expanded; write the folder out`},
		{"NUL", `output: "a\0b"`, `exp.yaml:1: output is "a\x00b": a path cannot hold a NUL character`},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, msg := loadText(t, x.text, Options{}); msg != atBase(t, x.want) {
				t.Errorf("got  %s\nwant %s", msg, atBase(t, x.want))
			}
		})
	}
}

func TestNameInPaths(t *testing.T) {
	c := must(t, "name: x\noutput: out/${name}/${name}\nmodel: {path: '${name}.pt'}\n", Options{Sets: []string{"name=y"}})
	if c.Output != "out/y/y" || c.Attack.Output != "models/y" || c.ModelPath() != "y.pt" {
		t.Error(c.Output, c.Attack.Output, c.ModelPath())
	}
}
