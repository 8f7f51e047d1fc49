package config

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"

	"github.com/go-playground/validator/v10"
)

// check adds to what was found wrong in the layers what is out of range, each value with
// the layer that set it, and what does not go together, where the layers say what was meant.
func check(root *field, c *Config, found problems) problems {
	ranges, bad := checkRanges(root, c)
	if len(found) == 0 {
		ranges = append(ranges, checkTogether(c, bad)...)
	}
	return append(found, ranges...).inOrder()
}

// checkRanges tells also which keys are out of theirs.
func checkRanges(root *field, c *Config) (found problems, keys map[string]bool) {
	v, err := newValidator()
	if err == nil {
		err = v.Struct(c)
	}
	var bad validator.ValidationErrors
	if err != nil && !errors.As(err, &bad) {
		return problems{"check the config: " + err.Error()}, nil
	}
	keys = map[string]bool{}
	for _, e := range bad {
		_, key, _ := strings.Cut(e.Namespace(), ".")
		key, _, _ = strings.Cut(key, "[") // the list, not its element
		if f := root.find(key); f != nil && !keys[key] {
			keys[key] = true
			found.add("%s: %s is %s, wanted %s", c.Origin(key), key, show(c, f), f.wanted())
		}
	}
	return found, keys
}

// newValidator knows the rules of the schema that are particular to it.
func newValidator() (*validator.Validate, error) {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("mapstructure") })
	return v, errors.Join(
		v.RegisterValidation("runname", matches(`^[A-Za-z0-9._-]{1,100}$`, `^\.*$`)),
		v.RegisterValidation("device", func(l validator.FieldLevel) bool { return IsDevice(l.Field().String()) }),
		v.RegisterValidation("nothing_or", func(l validator.FieldLevel) bool {
			return l.Field().Len() == 0 || fmt.Sprint(l.Field().Len()) == l.Param()
		}),
		v.RegisterValidation("layer", func(l validator.FieldLevel) bool {
			_, err := path.Match(l.Field().String(), "")
			return err == nil && l.Field().String() != ""
		}),
	)
}

var device = regexp.MustCompile(`^(auto|cpu|cuda(:[0-9]{1,3})?)$`)

// IsDevice tells whether a name is one that the key device can have.
func IsDevice(name string) bool { return device.MatchString(name) }

// matches is a rule for strings that match the first pattern and not the second.
func matches(good, bad string) validator.Func {
	yes, no := regexp.MustCompile(good), regexp.MustCompile(bad)
	return func(l validator.FieldLevel) bool {
		s := l.Field().String()
		return yes.MatchString(s) && !no.MatchString(s)
	}
}

// show is the value of f in c as a message quotes it.
func show(c *Config, f *field) string {
	v := reflect.ValueOf(*c).FieldByIndex(f.index)
	switch {
	case f.list && f.kind == reflect.String:
		return clip(fmt.Sprintf("%q", v.Interface()))
	case f.list:
		return clip(strings.ReplaceAll(fmt.Sprint(v.Interface()), " ", ", "))
	case f.kind == reflect.String:
		return quoted(v.String())
	}
	return fmt.Sprint(v.Interface())
}
