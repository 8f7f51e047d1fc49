package config

import (
	"reflect"
	"strings"
)

// wanted says in words what values f takes: its type and its range.
func (f *field) wanted() string {
	if f.section() {
		return "a section with keys of its own: " + childNames(f)
	}
	if f.list {
		return f.wantedList()
	}
	rules := parseRule(f.rule)
	if _, ok := rules["runname"]; ok {
		return `letters, digits, ".", "_" and "-", at most 100, not only dots`
	}
	if _, ok := rules["device"]; ok {
		return "auto, cpu, cuda or cuda:N"
	}
	if of, ok := rules["oneof"]; ok {
		return "one of " + strings.Join(strings.Fields(of), ", ")
	}
	if _, ok := rules["required"]; ok {
		return "a string that is not empty"
	}
	switch f.kind {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint64:
		return "a whole number, at least 0"
	case reflect.Int:
		return "a whole number" + rangeWords(rules)
	}
	return "a number" + rangeWords(rules)
}

// wantedList describes a list: the part of the rule before dive is the list's,
// the part after it each element's.
func (f *field) wantedList() string {
	whole, each, _ := strings.Cut(f.rule, "dive")
	if _, ok := parseRule(each)["layer"]; ok {
		return "a list of head, all or name patterns such as layer4.*, none empty and none twice"
	}
	elements := "numbers"
	switch f.kind {
	case reflect.String:
		elements = "strings"
	case reflect.Int:
		elements = "whole numbers"
	}
	elements += rangeWords(parseRule(each))
	if n := parseRule(whole)["nothing_or"]; n != "" {
		return "[] or a list of " + n + " " + elements
	}
	return "a list of " + elements
}

// rangeWords turns gte, gt, lte and lt into words that follow "a number".
func rangeWords(rules map[string]string) string {
	gte, gt, lte, lt := rules["gte"], rules["gt"], rules["lte"], rules["lt"]
	switch {
	case gte != "" && lte != "":
		return " from " + gte + " to " + lte
	case gte != "" && lt != "":
		return ", at least " + gte + " and below " + lt
	case gt != "" && lte != "":
		return " above " + gt + " and at most " + lte
	case gt != "" && lt != "":
		return " above " + gt + " and below " + lt
	case gte != "":
		return ", at least " + gte
	case gt != "":
		return " above " + gt
	}
	return ""
}

// parseRule splits a validate tag such as "gt=0,lte=10" into names and values.
func parseRule(rule string) map[string]string {
	rules := map[string]string{}
	for _, part := range strings.Split(rule, ",") {
		if name, value, _ := strings.Cut(part, "="); name != "" {
			rules[name] = value
		}
	}
	return rules
}

// childNames lists the keys of a section.
func childNames(f *field) string {
	names := make([]string, len(f.children))
	for i, c := range f.children {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}
