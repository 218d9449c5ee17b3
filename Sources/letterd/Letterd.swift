import Daemon
import LetterdCommand

@main
enum Letterd {
    static func main() async { await LetterdCommand.main(hooks: DaemonHooks()) }
}
