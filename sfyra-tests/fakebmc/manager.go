package fakebmc

import "net/http"

// routeManager serves the BMC itself and the chassis.
func (b *BMC) routeManager(mux *http.ServeMux) {
	serveCollection(mux, managersPath, "ManagerCollection", one(managerPath))
	serve(mux, managerPath, b.manager)
	serveCollection(mux, chassisPath, "ChassisCollection", one(boxPath))
	serve(mux, boxPath, b.chassis)
}

func (b *BMC) manager() object {
	m := object{
		"@odata.id": managerPath, "@odata.type": "#Manager.v1_5_0.Manager", "Id": "bmc", "Name": "Manager",
		"ManagerType": "BMC", "PowerState": "On", "Model": "Ingot lab BMC",
		"SerialConsole": object{"ServiceEnabled": true, "MaxConcurrentSessions": 1, "ConnectTypesSupported": []string{"Oem"}},
		"Links":         object{"ManagerForServers": []object{ref(systemPath)}, "ManagerForChassis": []object{ref(boxPath)}},
	}
	b.linkMedia(m, managerPath)
	return m
}

func (b *BMC) chassis() object {
	id := b.config.Machine.Identity()
	return object{
		"@odata.id": boxPath, "@odata.type": "#Chassis.v1_10_0.Chassis", "Id": "1", "Name": "Chassis",
		"ChassisType": "RackMount", "Manufacturer": id.Manufacturer, "Model": id.Product, "SerialNumber": id.Serial,
		"Links": object{"ComputerSystems": []object{ref(systemPath)}, "ManagedBy": []object{ref(managerPath)}},
	}
}
