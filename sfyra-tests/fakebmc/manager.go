package fakebmc

import "net/http"

// routeManager serves the BMC itself, the chassis and the empty virtual drive.
func (b *BMC) routeManager(mux *http.ServeMux) {
	serveCollection(mux, managersPath, "ManagerCollection", one(managerPath))
	serve(mux, managerPath, b.manager)
	serveCollection(mux, chassisPath, "ChassisCollection", one(boxPath))
	serve(mux, boxPath, b.chassis)
	serveCollection(mux, mediaPath, "VirtualMediaCollection", one(drivePath))
	serve(mux, drivePath, b.drive)
	// Clients eject before they insert; ejecting from an empty drive succeeds, as on real BMCs.
	mux.HandleFunc("POST "+drivePath+"/Actions/VirtualMedia.EjectMedia", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
}

func (b *BMC) manager() object {
	return object{
		"@odata.id": managerPath, "@odata.type": "#Manager.v1_5_0.Manager", "Id": "bmc", "Name": "Manager",
		"ManagerType": "BMC", "PowerState": "On", "Model": "Ingot lab BMC", "VirtualMedia": ref(mediaPath),
		"SerialConsole": object{"ServiceEnabled": true, "MaxConcurrentSessions": 1, "ConnectTypesSupported": []string{"Oem"}},
		"Links":         object{"ManagerForServers": []object{ref(systemPath)}, "ManagerForChassis": []object{ref(boxPath)}},
	}
}

func (b *BMC) chassis() object {
	id := b.config.Machine.Identity()
	return object{
		"@odata.id": boxPath, "@odata.type": "#Chassis.v1_10_0.Chassis", "Id": "1", "Name": "Chassis",
		"ChassisType": "RackMount", "Manufacturer": id.Manufacturer, "Model": id.Product, "SerialNumber": id.Serial,
		"Links": object{"ComputerSystems": []object{ref(systemPath)}, "ManagedBy": []object{ref(managerPath)}},
	}
}

// drive is empty and offers no InsertMedia: the virtual server has no such drive, and the BMC does not pretend.
func (b *BMC) drive() object {
	return object{
		"@odata.id": drivePath, "@odata.type": "#VirtualMedia.v1_3_0.VirtualMedia", "Id": "Cd", "Name": "CD",
		"MediaTypes": []string{"CD", "DVD"}, "Inserted": false, "ConnectedVia": "NotConnected",
		"Actions": object{"#VirtualMedia.EjectMedia": object{"target": drivePath + "/Actions/VirtualMedia.EjectMedia"}},
	}
}
