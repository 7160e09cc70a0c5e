package manifest

import (
	"encoding/json"
	"maps"
)

// Schema is the JSON Schema (draft 2020-12) of pith.yaml, made of the table
// that the reader uses.
func Schema() []byte {
	root := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "pith.yaml",
		"if":      map[string]any{"required": []string{"services"}},
		"then":    severalTable.schema(),
		"else":    singleTable.schema(),
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("BUG: the schema is no JSON: " + err.Error())
	}
	return append(text, '\n')
}

// schema describes a shape.
func (s *shape) schema() map[string]any {
	if len(s.or) == 0 {
		return s.one()
	}
	forms := []any{s.one()}
	for _, o := range s.or {
		forms = append(forms, o.schema())
	}
	return map[string]any{"anyOf": forms}
}

func (s *shape) one() map[string]any {
	m := map[string]any{}
	switch s.form {
	case scalar:
		maps.Copy(m, s.scalarSchema())
	case list:
		m["type"], m["items"] = "array", s.item.schema()
	case mapping:
		m["type"] = "object"
		maps.Copy(m, s.mappingSchema())
	}
	if s.optional {
		m["type"] = []any{m["type"], "null"}
	}
	return m
}

func (s *shape) scalarSchema() map[string]any {
	switch {
	case s.enum != nil:
		return map[string]any{"enum": s.enum}
	case s.boolean:
		return map[string]any{"type": "boolean"}
	case s.number:
		return map[string]any{"type": "integer", "minimum": s.least, "maximum": s.most}
	default: // YAML's 64 and true are texts here as well
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	}
}

func (s *shape) mappingSchema() map[string]any {
	if s.fields == nil {
		return map[string]any{
			"additionalProperties": s.item.schema(),
			"propertyNames":        map[string]any{"pattern": s.keys.String()},
		}
	}
	properties := map[string]any{}
	for name, f := range s.fields {
		p := f.schema()
		p["description"] = f.doc
		properties[name] = p
	}
	return map[string]any{"properties": properties, "additionalProperties": false}
}
