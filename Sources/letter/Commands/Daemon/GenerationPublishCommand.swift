import ArgumentParser
import ControlAPI
import ControlClient
import Glibc
import Synchronization
import Core

/// `letter generation publish`: uploads a model, and waits until its index is built.
struct GenerationPublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publish a tokenizer as a new generation, and wait until its index is built.",
        discussion: "The first generation becomes active by itself; others wait as candidates to be promoted.")

    @Argument(help: "The model directory: manifest.json and tokenizer.safetensors.")
    var model: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = connection.client()
        // Both are opened first: nothing is sent of a model that is not whole.
        let files = try UploadFile.allCases.map { ($0, try ModelFile("\(model)/\($0.rawValue)")) }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        guard let name = UploadName("letter-\(getpid())-\(now.tv_sec)-\(now.tv_nsec)") else { throw ExitCode(1) }
        let size = files.reduce(0) { $0 + $1.1.size }
        let bar = ProgressBar(label: "uploading", total: size >> 10, unit: "KiB")
        let sent = Mutex(0)
        for (file, contents) in files {
            _ = try await client.upload(file, to: name, length: contents.size) {
                let bytes = try contents.read()
                let total = sent.withLock {
                    $0 += bytes?.count ?? 0
                    return $0
                }
                bar.update(total >> 10)
                return bytes
            }
        }
        bar.finish()
        let published = try await client.publish(upload: name)
        let info = try await Self.waitUntilBuilt(published, client)
        try Output.show(info, asJSON: output.json) {
            Table.generations([info]).print()
            if info.state == .candidate {
                Terminal.line("promote it with: letter generation promote \(info.number)")
            }
        }
    }

    private static func waitUntilBuilt(
        _ published: GenerationInfo, _ client: ControlClient
    ) async throws -> GenerationInfo {
        var info = published
        let bar = ProgressBar(label: "building generation \(info.number)", total: 100, unit: "%")
        var pause = Duration.milliseconds(20)
        var moved = (items: -1, at: ContinuousClock.now)
        while true {
            let answer = try await client.generations()
            guard let found = answer.generations.first(where: { $0.number == published.number }) else {
                throw ControlFailure(
                    "control.generation_gone", .notFound, "Generation \(published.number) is no longer there.",
                    remedy: "See `letter generation list` and the daemon's log.")
            }
            info = found
            bar.update(Int(info.progress * 100), note: "\(info.items) items")
            switch info.state {
            case .active, .retired: break
            // The first one becomes active in a moment; a later one waits for `promote`.
            case .candidate where answer.generations.contains { $0.state == .active }: break
            case .candidate, .building:
                try await refuseStandstill(info, since: &moved, client)
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(500))
                continue
            case .failed:
                bar.finish()
                throw info.failure?.failure(httpStatus: 500)
                    ?? ControlFailure(
                        "control.generation_failed", .invalid, "Generation \(info.number) could not be built.",
                        remedy: "See the daemon's log.")
            }
            bar.finish()
            return info
        }
    }
}

extension GenerationPublishCommand {
    /// How long a build may stand still while the daemon reports a problem.
    private static let patience = Duration.seconds(5)

    /// Ends the wait for a build that cannot go on, with what the daemon says is wrong.
    private static func refuseStandstill(
        _ info: GenerationInfo, since moved: inout (items: Int, at: ContinuousClock.Instant), _ client: ControlClient
    ) async throws {
        if info.items != moved.items { moved = (info.items, .now) }
        guard moved.at.duration(to: .now) > patience, let problem = try await client.status().problems.first else {
            return
        }
        throw ControlFailure(
            problem.code, .temporary, "Generation \(info.number) is published but not built: \(problem.message)",
            remedy: "\(problem.remedy) It is built as soon as that is mended; `letter generation list` shows it.")
    }
}

/// One file of a model, read piece by piece.
private final class ModelFile: Sendable {
    let size: Int
    private let descriptor: Int32
    private let path: String

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failed(path) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw Self.failed(path)
        }
        size = Int(information.st_size)
    }

    deinit { close(descriptor) }

    /// The next bytes, or nil at the end.
    func read() throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 256 << 10)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Self.failed(path) }
        return count == 0 ? nil : Array(bytes.prefix(count))
    }

    private static func failed(_ path: String) -> ControlFailure {
        ControlFailure(
            "letter.model_unreadable", .unavailable, "\(path) cannot be read: \(String(cString: strerror(errno))).",
            remedy: "Name a model directory with manifest.json and tokenizer.safetensors.")
    }
}
