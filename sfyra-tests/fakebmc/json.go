package fakebmc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// maxBody bounds the body of a request.
const maxBody = 64 << 10

type object = map[string]any

func ref(path string) object { return object{"@odata.id": path} }

// reply sends a resource.
func reply(w http.ResponseWriter, status int, body object) {
	content, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	_, _ = w.Write(content) // a client that went away needs no answer
}

// fail sends an error in Redfish's form (DSP0266, 8.7 Error responses).
func fail(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, object{"error": object{
		"code": code, "message": message,
		"@Message.ExtendedInfo": []object{{"MessageId": code, "Message": message}},
	}})
}

// failMachine sends the status that an error of the machine stands for.
func failMachine(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, machine.ErrPoweredOff), errors.Is(err, machine.ErrPoweredOn), errors.Is(err, machine.ErrBusy):
		fail(w, http.StatusConflict, "Base.1.8.ActionNotSupported", err.Error())
	case errors.Is(err, machine.ErrInvalid):
		fail(w, http.StatusBadRequest, "Base.1.8.PropertyValueNotInList", err.Error())
	default:
		fail(w, http.StatusInternalServerError, "Base.1.8.InternalError", err.Error())
	}
}

var errBody = errors.New("the body is not one JSON object of the expected shape")

// decode reads one JSON object of at most maxBody bytes.
func decode(body io.Reader, into any) error {
	content, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil || len(content) > maxBody {
		return errBody
	}
	content = bytes.TrimSpace(content)
	if len(content) == 0 || content[0] != '{' || json.Unmarshal(content, into) != nil {
		return errBody
	}
	return nil
}

// read decodes the body of a request, or answers 400.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := decode(r.Body, into); err != nil {
		fail(w, http.StatusBadRequest, "Base.1.8.MalformedJSON", err.Error())
		return false
	}
	return true
}
