package fakebmc

import "net/http"

const (
	rootPath     = "/redfish/v1/"
	systemsPath  = "/redfish/v1/Systems"
	systemPath   = "/redfish/v1/Systems/1"
	managersPath = "/redfish/v1/Managers"
	managerPath  = "/redfish/v1/Managers/bmc"
	chassisPath  = "/redfish/v1/Chassis"
	boxPath      = "/redfish/v1/Chassis/1"
	servicePath  = "/redfish/v1/SessionService"
	sessionsPath = servicePath + "/Sessions"
)

// routeService serves the way in: versions, service root, metadata.
func (b *BMC) routeService(mux *http.ServeMux) {
	serve(mux, "/redfish", func() object { return object{"v1": rootPath} })
	serve(mux, "/redfish/v1/{$}", b.root)
	serve(mux, "/redfish/v1", b.root)
	serve(mux, "/redfish/v1/odata", b.odata)
	mux.HandleFunc("GET /redfish/v1/$metadata", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write([]byte(metadata))
	})
}

// serve answers GET with a resource that cannot fail.
func serve(mux *http.ServeMux, path string, resource func() object) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, resource()) })
}

// serveCollection answers GET with a collection (DSP0266, 9.5.4 Collections).
func serveCollection(mux *http.ServeMux, path, kind string, members func() []string) {
	serve(mux, path, func() object {
		links := []object{}
		for _, member := range members() {
			links = append(links, ref(member))
		}
		return object{
			"@odata.id": path, "@odata.type": "#" + kind + "." + kind, "Name": kind,
			"Members": links, "Members@odata.count": len(links),
		}
	})
}

func one(path string) func() []string { return func() []string { return []string{path} } }

func (b *BMC) root() object {
	root := object{
		"@odata.id": rootPath, "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
		"Id": "RootService", "Name": "Ingot lab BMC", "RedfishVersion": "1.8.0", "UUID": b.config.Machine.Identity().UUID,
		"Systems": ref(systemsPath), "Managers": ref(managersPath), "Chassis": ref(chassisPath), "Links": object{},
	}
	if b.config.SessionLimit > 0 {
		root["SessionService"] = ref(servicePath)
		root["Links"] = object{"Sessions": ref(sessionsPath)}
	}
	return root
}

func (b *BMC) odata() object {
	item := func(name, path string) object { return object{"name": name, "kind": "Singleton", "url": path} }
	return object{"@odata.context": "/redfish/v1/$metadata", "value": []object{
		item("Service", rootPath), item("Systems", systemsPath), item("Managers", managersPath), item("Chassis", chassisPath),
	}}
}

const metadata = `<?xml version="1.0" encoding="UTF-8"?>
<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">
 <edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/ServiceRoot_v1.xml"><edmx:Include Namespace="ServiceRoot.v1_5_0"/></edmx:Reference>
 <edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/ComputerSystem_v1.xml"><edmx:Include Namespace="ComputerSystem.v1_13_0"/></edmx:Reference>
 <edmx:DataServices/>
</edmx:Edmx>
`
