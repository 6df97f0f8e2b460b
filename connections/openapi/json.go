package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// jsonReader makes nodes of JSON. YAML has nearly all of it, except for the
// surrogate pairs of strings.
type jsonReader struct {
	builder
	data    []byte
	decoder *json.Decoder
	at      int64 // what of data is counted in line
	line    int
}

func decodeJSON(data []byte) (*node, error) {
	r := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.decoder.UseNumber()
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	root, err := r.read(token, 1)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{r.line, "there is more behind the end of the document"}
	}
	return root, nil
}

func (r *jsonReader) token() (json.Token, error) {
	token, err := r.decoder.Token()
	if err != nil {
		line := r.line
		if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
			line = 1 + bytes.Count(r.data[:min(wrong.Offset, int64(len(r.data)))], []byte("\n"))
		}
		return nil, &Error{line, "this is not JSON"}
	}
	end := r.decoder.InputOffset()
	r.line += bytes.Count(r.data[r.at:end], []byte("\n"))
	r.at = end
	return token, nil
}

// read makes a node of what begins with a token.
func (r *jsonReader) read(token json.Token, depth int) (*node, error) {
	delimiter, _ := token.(json.Delim)
	s := map[json.Delim]shape{'{': mapping, '[': sequence}[delimiter]
	n, err := r.node(s, r.line, depth)
	if err != nil {
		return nil, err
	}
	if s == scalar {
		n.scalar = token
		return n, nil
	}
	for r.decoder.More() {
		if err := r.readInto(n, depth); err != nil {
			return nil, err
		}
	}
	_, err = r.token() // its end
	return n, err
}

func (r *jsonReader) readInto(n *node, depth int) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	name, line := "", r.line
	if n.shape == mapping {
		name, _ = token.(string)
		if token, err = r.token(); err != nil {
			return err
		}
	}
	child, err := r.read(token, depth+1)
	if err != nil {
		return err
	}
	if n.shape == sequence {
		n.items = append(n.items, child)
		return nil
	}
	child.line = line // where its name stands
	return n.add(name, child)
}
