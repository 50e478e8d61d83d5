// Package gql has the operations that railway sends, generated from the documents
// of this directory by genqlient, and the part of Railway's schema that they and
// the counterpart in memory are written against.
package gql

import (
	"embed"
	"io/fs"
	"strings"
)

//go:generate go -C generate tool genqlient ../genqlient.yaml

// Schema is the part of the schema, in the schema definition language.
//
//go:embed schema.graphql
var Schema string

//go:embed operations/*.graphql subscriptions.graphql
var documents embed.FS

// Documents returns all operations, with their fragments, as one document.
func Documents() (string, error) {
	var b strings.Builder
	err := fs.WalkDir(documents, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := documents.ReadFile(path)
		b.Write(text)
		b.WriteByte('\n')
		return err
	})
	return b.String(), err
}

// Text returns what is pointed at, or the empty text.
func Text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
