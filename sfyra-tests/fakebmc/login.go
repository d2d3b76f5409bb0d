package fakebmc

import "net/http"

// routeSessions serves logging in and out (DSP0266, 13.3.4 Redfish session login authentication).
func (b *BMC) routeSessions(mux *http.ServeMux) {
	serve(mux, servicePath, func() object {
		return object{
			"@odata.id": servicePath, "@odata.type": "#SessionService.v1_1_0.SessionService", "Id": "SessionService",
			"Name": "Session Service", "ServiceEnabled": true, "SessionTimeout": int(SessionTimeout.Seconds()), "Sessions": ref(sessionsPath),
		}
	})
	serveCollection(mux, sessionsPath, "SessionCollection", func() []string {
		var paths []string
		for _, id := range b.sessions.ids() {
			paths = append(paths, sessionsPath+"/"+id)
		}
		return paths
	})
	mux.HandleFunc("POST "+sessionsPath, b.login)
	mux.HandleFunc("DELETE "+sessionsPath+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !b.sessions.remove(r.PathValue("id")) {
			fail(w, http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "no such session")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (b *BMC) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ UserName, Password string }
	if !read(w, r, &body) {
		return
	}
	if !b.known(body.UserName, body.Password) {
		fail(w, http.StatusUnauthorized, "Base.1.8.NoValidSession", "credentials are missing or wrong")
		return
	}
	id, token, ok := "", "", false
	if !b.faults.Get().Full {
		id, token, ok = b.sessions.create(body.UserName)
	}
	if !ok {
		fail(w, http.StatusServiceUnavailable, "Base.1.8.SessionLimitExceeded", "all sessions are in use")
		return
	}
	path := sessionsPath + "/" + id
	w.Header().Set("X-Auth-Token", token)
	w.Header().Set("Location", path)
	reply(w, http.StatusCreated, object{
		"@odata.id": path, "@odata.type": "#Session.v1_1_0.Session", "Id": id,
		"Name": "Session", "UserName": body.UserName,
	})
}
