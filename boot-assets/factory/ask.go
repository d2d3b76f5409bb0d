package factory

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/web"
)

// Limits of what is read out of answers.
const (
	maxArgs      = 62 // of 64 that an Environment has, two are Ingot's
	maxArg       = 512
	maxKnown     = 2048
	longestWords = 300
)

// Submit registers a schematic, as it is, and returns its id: what the factory answers, whatever its text hashes to.
func (c *Client) Submit(ctx context.Context, schematic string) (id string, err error) {
	address := c.base.JoinPath("schematics").String()
	status, data, err := c.short(ctx, http.MethodPost, address, strings.NewReader(schematic), maxID)
	switch {
	case err != nil:
		return "", err
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge:
		return "", fmt.Errorf("%w: it answers %d, %s; mend spec.talos.schematic", ErrSchematic, status, words(data))
	case status != http.StatusCreated && status != http.StatusOK:
		return "", refused(address, status)
	}
	var answer struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || !isID(answer.ID) {
		return "", fmt.Errorf("%w: %s answers with no id of a schematic; check spec.talos.factoryURL", ErrAnswer, web.Where(address))
	}
	return answer.ID, nil
}

func isID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

// words is what an answer says, in one line of printable ASCII.
func words(data []byte) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, string(data))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longestWords {
		text = text[:longestWords] + "..."
	}
	return fmt.Sprintf("%q", text)
}

// Cmdline is the kernel line of a release, as the factory gives it.
func (c *Client) Cmdline(ctx context.Context, r Release) ([]string, error) {
	address := c.image(r, "cmdline-metal-"+r.Arch+r.suffix())
	status, data, err := c.short(ctx, http.MethodGet, address, nil, maxCmdline)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refused(address, status)
	}
	args, err := parseCmdline(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", web.Where(address), err)
	}
	return args, nil
}

// argName is how the name of a kernel argument looks.
var argName = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]*$`)

// parseCmdline splits a kernel line at its blanks. One that is not that of Talos on bare metal, an error page for instance, is refused, and so is what
// could not stand in a boot script: quotes, backslashes and what iPXE would expand.
func parseCmdline(line string) ([]string, error) {
	args := strings.Fields(line)
	if !slices.Contains(args, "talos.platform=metal") {
		return nil, fmt.Errorf("%w: it does not have talos.platform=metal", ErrAnswer)
	}
	if len(args) > maxArgs {
		return nil, fmt.Errorf("%w: it has %d arguments, and at most %d fit", ErrLine, len(args), maxArgs)
	}
	for _, a := range args {
		name, _, _ := strings.Cut(a, "=")
		switch {
		case len(a) > maxArg || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("%w: an argument is longer than %d bytes or not ASCII", ErrLine, maxArg)
		case !argName.MatchString(name) || strings.ContainsAny(a, `"\`) || strings.Contains(a, "${"):
			return nil, fmt.Errorf("%w: %q cannot be an argument of a netbooted kernel", ErrLine, short(a))
		case strings.HasPrefix(name, "ingot.") || name == "initrd":
			return nil, fmt.Errorf("%w: the argument %s is Ingot's own", ErrLine, short(name))
		}
	}
	return args, nil
}

func short(s string) string { return s[:min(len(s), 40)] }

// Versions are those that the factory has, in its order.
func (c *Client) Versions(ctx context.Context) ([]string, error) {
	address := c.base.JoinPath("versions").String()
	status, data, err := c.short(ctx, http.MethodGet, address, nil, maxVersions)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refused(address, status)
	}
	versions, err := parseVersions(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, web.Where(address), err)
	}
	return versions, nil
}

// version is the form of a version, as Environments take it.
var version = regexp.MustCompile(`^v[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(-[0-9A-Za-z.-]{1,64})?$`)

// parseVersions reads a JSON list of versions. What does not look like one is left out: a factory may have more than it had when this was written.
func parseVersions(data []byte) ([]string, error) {
	var all []string
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, errors.New("it is no list of versions")
	}
	known := []string{}
	for _, v := range all[:min(len(all), maxKnown)] {
		if version.MatchString(v) {
			known = append(known, v)
		}
	}
	return known, nil
}
