package v1alpha1

// Stages of a boot's timeline, in the order of a boot that goes well. Each is a moment; what a machine, its BMC or Ingot does until the next one is what
// its comment says. They are hints for people, and nothing is decided by them.
const (
	// StageSwitchingOff is the order to switch off; the BMC obeys and reads off.
	StageSwitchingOff = "SwitchingOff"
	// StageSwitchingOn is the order to switch on from the network; the BMC obeys and reads on.
	StageSwitchingOn = "SwitchingOn"
	// StagePoweredOn is the reading on; the firmware starts.
	StagePoweredOn = "PoweredOn"
	// StageDHCP is the firmware's first word on the network; it gets an address and begins to fetch the first stage.
	StageDHCP = "DHCP"
	// StageFirstStage is that the first stage was fetched; it starts and asks for its script.
	StageFirstStage = "FirstStage"
	// StageScript is that the script was made; the first stage reads it.
	StageScript = "Script"
	// StageKernel is that the kernel was asked for, which is then fetched.
	StageKernel = "Kernel"
	// StageInitramfs is that the initramfs was asked for, which is then fetched.
	StageInitramfs = "Initramfs"
	// StageLoaded is that the initramfs has left; kernel and agent, or operating system, start.
	StageLoaded = "Loaded"
	// StageEnrolled is that the agent enrolled; it reads the hardware.
	StageEnrolled = "Enrolled"
	// StageInventory is that the agent reported the hardware; a grant to wipe is judged, which waits a moment for a second claimant.
	StageInventory = "Inventory"
	// StageWipeGranted is that the wipe was granted; the agent gets it.
	StageWipeGranted = "WipeGranted"
	// StageWiping is the agent's first word of the wipe, which goes on.
	StageWiping = "Wiping"
	// StageReceipt is the agent's receipt; the machine is told to switch itself off, and its BMC has to read off.
	StageReceipt = "Receipt"
	// StagePoweredOff is that the BMC read off after the receipt; the erase record is signed and kept.
	StagePoweredOff = "PoweredOff"
	// StageVerified is that the wipe counts.
	StageVerified = "Verified"
	// StageConfig is that the machine config left; the operating system is installed.
	StageConfig = "Config"
	// StageInstalled is the word that it is installed; the machine restarts.
	StageInstalled = "Installed"
	// StageRestarted is the first word of the firmware on the network after that; it gets to the script again.
	StageRestarted = "Restarted"
	// StageLocalDisk is that the script sent it to its own disk, from which the system starts.
	StageLocalDisk = "LocalDisk"
	// StageRunning is the system's word that it runs from its disk.
	StageRunning = "Running"
)

// Stages that a Talos told of itself, over a connection that proves nothing: hints for people, which nothing rests on. Each is the first time that it was told.
const (
	// StageTalosConfigFailed is that Talos could not load its machine config, or does not take it.
	StageTalosConfigFailed = "TalosConfigFailed"
	// StageTalosMaintenance is that it waits for a person, without a config.
	StageTalosMaintenance = "TalosMaintenance"
	// StageTalosInstalling is that it installs itself.
	StageTalosInstalling = "TalosInstalling"
	// StageTalosRebooting is that it restarts.
	StageTalosRebooting = "TalosRebooting"
	// StageTalosBooting is that it starts what its config asks for.
	StageTalosBooting = "TalosBooting"
	// StageTalosRunning is that it runs.
	StageTalosRunning = "TalosRunning"
)

// ToldStages are all stages that a machine tells of itself.
func ToldStages() []string {
	return []string{StageTalosConfigFailed, StageTalosMaintenance, StageTalosInstalling, StageTalosRebooting, StageTalosBooting, StageTalosRunning}
}
