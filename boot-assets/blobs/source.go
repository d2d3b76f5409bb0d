package blobs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ingot.dev/ingot/boot-assets/web"
)

// maxValidator bounds what a source calls a version of its file.
const maxValidator = 256

// answer is what a source sends.
type answer struct {
	// offset is where the body begins; total is the size of the whole file, 0 when the source does not tell.
	offset, total int64
	validator     string
	body          io.ReadCloser
}

// ask asks for the file, from where the part ends.
func (c *Cache) ask(ctx context.Context, address string, p *part) (answer, error) {
	u, err := web.ParseURL(address)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, fmt.Errorf("%w: its URL is malformed", ErrSource)
	}
	req.Header.Set("Accept-Encoding", "identity") // a digest is of the file itself
	if p.size > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		req.Header.Set("If-Range", p.origin.Validator)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return answer{}, web.Bare(err)
	}
	a, err := c.judge(res, p.size)
	if err != nil {
		res.Body.Close()
	}
	return a, err
}

// judge reads the head of an answer to a request for what is after offset.
func (c *Cache) judge(res *http.Response, offset int64) (answer, error) {
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return answer{}, fmt.Errorf("%w: it answers in an encoding that was not asked for", ErrSource)
	}
	a := answer{total: max(res.ContentLength, 0), validator: validatorOf(res.Header), body: res.Body}
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusPartialContent && offset > 0:
		first, total, err := parseContentRange(res.Header.Get("Content-Range"))
		if err != nil || first != offset {
			return answer{}, errStartOver
		}
		a.offset, a.total = first, total
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return answer{}, errStartOver
	default:
		return answer{}, fmt.Errorf("it answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	if a.total > c.cfg.MaxFile {
		return answer{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, a.total, c.cfg.MaxFile)
	}
	return a, nil
}

// validatorOf is what an interrupted transfer can go on with.
func validatorOf(h http.Header) string {
	if tag := validator(h.Get("ETag")); strings.HasPrefix(tag, `"`) { // a weak one, W/"…", promises no equal bytes
		return tag
	}
	return validator(h.Get("Last-Modified"))
}

// validator is v when it can stand in a request again.
func validator(v string) string {
	if len(v) > maxValidator || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return v
}
