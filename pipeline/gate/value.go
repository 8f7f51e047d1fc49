package gate

import (
	"errors"
	"strconv"
	"strings"

	"ulrl/pipeline/pickle"
	"ulrl/pipeline/torchfile"
)

// Limits of pickled values. Shared ones are looked at once.
const (
	maxNesting = 200
	maxValues  = 4 << 20
	valueText  = 64      // bytes of text that count as a value: it is looked at wherever it is named
	maxTag     = 4 << 10 // bytes of a type
)

// values checks the pickle of a record and the tensors below a folder.
type values struct {
	record  string
	folder  string
	records map[string][]byte
	classes map[string]*class
	used    map[string]bool // records that hold elements
	seen    map[any]bool    // shared values: whether they are done
	types   map[any]string  // of lists and dicts, as declared
	count   int
}

// checkValues checks data.pkl and constants.pkl; used are the tensors' records.
func (a *archive) checkValues(classes map[string]*class) (used map[string]bool, err error) {
	used = map[string]bool{}
	for _, p := range []struct{ record, folder string }{{"data.pkl", "data/"}, {"constants.pkl", "constants/"}} {
		c := &values{record: p.record, folder: p.folder, records: a.records, classes: classes, used: used, seen: map[any]bool{}, types: map[any]string{}}
		tree, err := pickle.ReadTorchScript(a.records[p.record], c.allow)
		if err == nil {
			err = c.root(tree)
		}
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			return nil, refused
		case err != nil:
			return nil, refuse(p.record, ownAdvice, "%s", err)
		}
	}
	return used, nil
}

// calls are what TorchScript's pickles call; what each becomes is object's.
const (
	rebuildTensor = "torch._utils._rebuild_tensor_v2"
	orderedDict   = "collections.OrderedDict"
	typeTag       = "torch.jit._pickle.restore_type_tag"
	deviceOf      = "torch.device"
	complexOf     = "builtins.complex"
	listPrefix    = "torch.jit._pickle.build_"
)

func (c *values) allow(g pickle.Global) error {
	full := g.String()
	switch full {
	case rebuildTensor, orderedDict, typeTag, deviceOf, complexOf:
		return nil
	case listPrefix + "intlist", listPrefix + "tensorlist", listPrefix + "doublelist", listPrefix + "boollist":
		return nil
	}
	if g.Module == "torch" && strings.HasSuffix(g.Name, "Storage") {
		return nil // StorageOf knows which there are
	}
	if strings.HasPrefix(full, "__torch__.") {
		if c.classes[full] == nil {
			return c.refuse("it holds a %s, a class that the archive's code does not have", clip(full))
		}
		return nil
	}
	return c.refuse("it names %s, which is refused", clip(full))
}

func (c *values) refuse(format string, args ...any) error {
	return refuse(c.record, ownAdvice, format, args...)
}

// root checks the pickle's value: the model, or a tuple of constants.
func (c *values) root(tree any) error {
	if c.folder == "constants/" {
		if _, is := tree.(pickle.Tuple); !is {
			return c.refuse("the constants are no tuple")
		}
	} else if o, is := tree.(*pickle.Object); !is || !strings.HasPrefix(o.Class.String(), "__torch__.") {
		return c.refuse("the model is no object of a class of its own")
	}
	return c.check(tree, 0)
}

// check walks through a value.
func (c *values) check(value any, depth int) error {
	c.count++
	if text, is := value.(string); is {
		c.count += len(text) / valueText
	}
	if c.count > maxValues || depth > maxNesting {
		return c.refuse("the values are too many or nested too deeply")
	}
	switch v := value.(type) {
	case nil, bool, int64, float64:
		return nil
	case string:
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }) {
			return c.refuse("a text with control characters")
		}
		return nil
	case pickle.Tuple:
		return c.all(v, depth)
	case *pickle.List:
		return c.once(v, func() error { return c.all(v.Items, depth) })
	case *pickle.Dict:
		return c.once(v, func() error { return c.dict(v, depth) })
	case *pickle.Object:
		return c.once(v, func() error { return c.object(v, depth) })
	}
	return c.refuse("it holds %s where a value was expected", pickle.Kind(value))
}

// once looks at a value that may be shared; one that holds itself is refused.
func (c *values) once(key any, check func() error) error {
	done, met := c.seen[key]
	switch {
	case done:
		return nil
	case met:
		return c.refuse("a value holds itself")
	}
	c.seen[key] = false
	if err := check(); err != nil {
		return err
	}
	c.seen[key] = true
	return nil
}

func (c *values) all(items []any, depth int) error {
	for _, item := range items {
		if err := c.check(item, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *values) dict(d *pickle.Dict, depth int) error {
	if d == nil {
		return nil
	}
	if err := c.all(d.Keys, depth); err != nil {
		return err
	}
	return c.all(d.Values, depth)
}

func (c *values) object(o *pickle.Object, depth int) error {
	full := o.Class.String()
	if strings.HasPrefix(full, "__torch__.") {
		return c.instance(o, depth)
	}
	if o.Named != nil || o.State != nil || len(o.Items) > 0 || o.Entries != nil {
		return c.refuse("a call of %s of a form that TorchScript does not write", clip(full))
	}
	switch full {
	case rebuildTensor:
		return c.tensor(o.Args)
	case deviceOf:
		if len(o.Args) == 1 {
			if text, is := o.Args[0].(string); is && plainDevice(text) {
				return nil
			}
		}
		return c.refuse("a device that is not known")
	case orderedDict:
		if len(o.Args) == 0 {
			return nil
		}
	case typeTag:
		if len(o.Args) == 2 {
			return c.tagged(o, depth)
		}
	default:
		if len(o.Args) == 1 && strings.HasPrefix(full, listPrefix) {
			return c.typedList(o, depth)
		}
		if len(o.Args) == 2 && full == complexOf {
			return c.all(o.Args, depth)
		}
	}
	return c.refuse("a call of %s of a form that TorchScript does not write", clip(full))
}

// typedList is build_intlist and its kin, of one list.
func (c *values) typedList(o *pickle.Object, depth int) error {
	list, is := o.Args[0].(*pickle.List)
	if !is {
		return c.refuse("a call of %s without its list", o.Class)
	}
	element := strings.TrimSuffix(strings.TrimPrefix(o.Class.String(), listPrefix), "list")
	want := []token{{kind: name, text: map[string]string{"int": "int", "double": "float", "bool": "bool", "tensor": "Tensor"}[element]}}
	if !c.isList(list, want, 0) {
		return c.refuse("a list that is said to hold %ss does not", want[0].text)
	}
	return c.check(list, depth+1)
}

// tagged is a list or dict and its type in TorchScript's words.
func (c *values) tagged(o *pickle.Object, depth int) error {
	said, is := o.Args[1].(string)
	if !is {
		return c.refuse("a type that is no text")
	}
	if len(said) > maxTag {
		return c.refuse("a type that is too long")
	}
	want, err := scan(c.record, said, maxTag)
	if err != nil {
		return c.refuse("a type that is none: %s", clip(said))
	}
	switch o.Args[0].(type) {
	case *pickle.List, *pickle.Dict:
	default:
		return c.refuse("a type is given to what is no list or dict")
	}
	if !c.is(o.Args[0], trimLine(want), 0) {
		return c.refuse("a value that is said to be %s is not", clip(said))
	}
	return c.check(o.Args[0], depth+1)
}

// instance is an object of one of the archive's classes: each member is there, is
// declared and is what was declared, which libtorch does not check.
func (c *values) instance(o *pickle.Object, depth int) error {
	full := o.Class.String()
	class := c.classes[full]
	if class.base == "Enum" {
		if len(o.Args) == 1 && o.State == nil {
			return c.check(o.Args[0], depth+1)
		}
		return c.refuse("a %s of a form that TorchScript does not write", clip(full))
	}
	state, is := o.State.(*pickle.Dict)
	if !is || len(o.Args) > 0 || o.Named != nil || len(o.Items) > 0 || o.Entries != nil {
		return c.refuse("a %s of a form that TorchScript does not write", clip(full))
	}
	for i, key := range state.Keys {
		member, is := key.(string)
		if !is {
			return c.refuse("a member of %s whose name is no text", clip(full))
		}
		declared, known := class.members[member]
		if !known {
			return c.refuse("%s has no member %s in the archive's code", clip(full), clip(member))
		}
		if !c.is(state.Values[i], declared, 0) {
			return c.refuse("%s of %s is not what the archive's code declares", clip(member), clip(full))
		}
		if err := c.check(state.Values[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *values) tensor(args pickle.Tuple) error {
	if len(args) != 6 {
		return c.refuse("a tensor of a form that TorchScript does not write")
	}
	_, isFlag := args[4].(bool)
	hooks, isHooks := args[5].(*pickle.Object)
	if !isFlag || !isHooks || hooks.Class.String() != orderedDict || len(hooks.Args) > 0 || hooks.Entries != nil || hooks.State != nil || hooks.Items != nil {
		return c.refuse("a tensor of a form that TorchScript does not write")
	}
	view, err := torchfile.ViewOf(args)
	if err != nil {
		return c.refuse("%s", err)
	}
	name := c.folder + view.Storage.Key
	data, there := c.records[name]
	switch {
	case !number(view.Storage.Key) || !there:
		return c.refuse("it needs the record %s, which the archive lacks", clip(name))
	case !plainDevice(view.Storage.Location):
		return c.refuse("a tensor on the device %s, which is refused", clip(view.Storage.Location))
	}
	c.used[name] = true
	if err := view.Storage.Fits(len(data)); err != nil {
		return c.refuse("%s", err)
	}
	if _, err := view.Len(); err != nil {
		return c.refuse("%s", err)
	}
	return nil
}

// plainDevice is the CPU or an NVIDIA GPU.
func plainDevice(name string) bool {
	if name == "cpu" || name == "cuda" {
		return true
	}
	n, ok := strings.CutPrefix(name, "cuda:")
	if !ok || !number(n) {
		return false
	}
	i, err := strconv.Atoi(n)
	return err == nil && i < 128
}
