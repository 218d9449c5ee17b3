import Files
import FoundationEssentials
package import Numerics

/// Where a training run saves its state, and how often.
package struct CheckpointFile: Sendable {
    /// The file. It is replaced as a whole; a run that ends does not remove it.
    package var path: String
    /// Seconds between two checkpoints; 0 writes one after every batch. It has no effect on the result.
    package var interval: Double
    /// Whether to resume from the file if it exists.
    package var resume: Bool

    package init(path: String, interval: Double = 60, resume: Bool = false) {
        self.path = path
        self.interval = interval
        self.resume = resume
    }
}

/// The state of a training run: matrices by name, and other values as JSON.
///
/// On disk it is a safetensors file whose metadata has the values and the format.
package struct Checkpoint {
    /// The format that this program writes and reads. `letter-checkpoint/1` had its state in other names.
    package static let format = "letter-checkpoint/2"

    private var matrices: [String: Matrix] = [:]
    private var values: [String: String] = ["format": Self.format]

    /// An empty checkpoint.
    package init() {}

    /// Adds a matrix.
    package mutating func set(_ name: String, _ matrix: Matrix) { matrices[name] = matrix }

    /// Adds a value as JSON.
    package mutating func set(_ name: String, _ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        values[name] = String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// A matrix of the same size as another.
    ///
    /// - Throws: `CheckpointProblem` if there is none of this name and size.
    package func matrix(_ name: String, like other: Matrix) throws -> Matrix {
        try matrix(name, rows: other.rows, columns: other.columns)
    }

    /// A matrix of this size.
    ///
    /// - Throws: `CheckpointProblem` if there is none of this name and size.
    package func matrix(_ name: String, rows: Int, columns: Int) throws -> Matrix {
        guard let matrix = matrices[name], matrix.rows == rows, matrix.columns == columns else {
            throw CheckpointProblem("'\(name)' of size \(rows) × \(columns) is missing")
        }
        return matrix
    }

    /// A value.
    ///
    /// - Throws: `CheckpointProblem` if there is none of this name and type.
    package func value<T: Decodable>(_ name: String, as type: T.Type) throws -> T {
        guard let text = values[name] else { throw CheckpointProblem("'\(name)' is missing") }
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw CheckpointProblem("'\(name)' cannot be read", cause: error)
        }
    }

    /// Writes the file durably: it appears whole, or the one before stays.
    ///
    /// - Throws: `FilesError`.
    package func write(_ path: String) throws {
        var writer = SafetensorsWriter()
        for (name, matrix) in matrices { writer.add(name, shape: [matrix.rows, matrix.columns], matrix.values) }
        writer.metadata = values
        try FileSystem.replace(path, with: writer.bytes())
    }

    /// Reads a file.
    ///
    /// - Throws: `FilesError` for a file that is missing or damaged, `CheckpointProblem` for one of another format.
    package init(_ path: String) throws {
        let file = try Safetensors(path: path)
        let format = file.metadata["format"] ?? "an older format"
        guard format == Self.format else {
            throw CheckpointProblem("it has \(format.prefix(40)); this program reads \(Self.format)")
        }
        values = file.metadata
        for (name, entry) in file.entries where entry.shape.count == 2 {
            matrices[name] = Matrix(rows: entry.shape[0], columns: entry.shape[1], try file.floats(name))
        }
    }
}

/// Why a file is no checkpoint of a run. `TrainingLoop` reports it as its task's `badCheckpoint`.
package struct CheckpointProblem: Error, CustomStringConvertible {
    /// What is wrong.
    package let description: String

    package init(_ description: String, cause: (any Error)? = nil) {
        self.description = cause.map { "\(description): \($0)" } ?? description
    }
}
