package fakebmc

import (
	"net/http"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const resetPath = systemPath + "/Actions/ComputerSystem.Reset"

func (b *BMC) routeSystem(mux *http.ServeMux) {
	serveCollection(mux, systemsPath, "ComputerSystemCollection", one(systemPath))
	mux.HandleFunc("GET "+systemPath, b.getSystem)
	mux.HandleFunc("PATCH "+systemPath, b.patchSystem)
	mux.HandleFunc("POST "+resetPath, b.postReset)
}

func (b *BMC) getSystem(w http.ResponseWriter, r *http.Request) {
	b.expireBoot(r.Context())
	on, err := b.config.Machine.PowerState(r.Context())
	if err != nil {
		failMachine(w, err)
		return
	}
	override, err := b.config.Machine.BootOverride(r.Context())
	if err != nil {
		failMachine(w, err)
		return
	}
	reply(w, http.StatusOK, b.system(on != b.faults.Get().Inverted, override))
}

func (b *BMC) system(on bool, override machine.BootOverride) object {
	id := b.config.Machine.Identity()
	b.mu.Lock()
	tag := b.assetTag
	b.mu.Unlock()
	s := object{
		"@odata.id": systemPath, "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
		"Id": "1", "Name": "system", "SystemType": "Physical",
		"UUID": id.UUID, "Manufacturer": id.Manufacturer, "Model": id.Product, "SerialNumber": id.Serial, "SKU": id.SKU,
		"AssetTag": tag, "PowerState": power(on), "Status": object{"State": "Enabled", "Health": "OK"},
		"ProcessorSummary": object{"Count": id.CPUs},
		"MemorySummary":    object{"TotalSystemMemoryGiB": float64(id.MemoryMiB) / 1024},
		"Boot":             b.boot(override),
		"Links":            object{"ManagedBy": []object{ref(managerPath)}, "Chassis": []object{ref(boxPath)}},
		"Actions": object{"#ComputerSystem.Reset": object{
			"target":                            resetPath,
			"ResetType@Redfish.AllowableValues": b.resetTypes(),
		}},
	}
	b.linkMedia(s, systemPath)
	return s
}

func power(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

// patchSystem changes the boot override and the asset tag, which are what a client may write.
func (b *BMC) patchSystem(w http.ResponseWriter, r *http.Request) {
	var patch systemPatch
	if !read(w, r, &patch) {
		return
	}
	if patch.Boot != nil {
		if err := b.patchBoot(r.Context(), *patch.Boot); err != nil {
			failMachine(w, err)
			return
		}
	}
	if patch.AssetTag != nil {
		b.mu.Lock()
		b.assetTag = *patch.AssetTag
		b.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}
