// Package configs carries the built-in configuration files inside the binary.
// base.yaml holds every default of the schema in pipeline/config; the others
// hold what is particular to one attack.
package configs

import "embed"

// FS has each built-in config at its top level, for example "base.yaml", and the
// profiles of data and scale in profiles/.
//
//go:embed *.yaml profiles/*.yaml
var FS embed.FS
