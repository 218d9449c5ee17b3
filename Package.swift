// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target: Swift 6 mode, explicit existentials and imports; warnings are errors in CI.
let common: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (Context.environment["CI"] == "true" ? [.treatAllWarnings(as: .error)] : [])

/// Small functions of Vocabulary, SQLiteStore and Numerics are called a hundred thousand times a second from other rooms:
/// in release builds the compiler may inline them there.
let release: SwiftSetting = .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))

/// Numeric rooms are optimised in debug builds too: an unoptimised inner loop is a hundred times slower.
let numeric: [SwiftSetting] = common + [release, .unsafeFlags(["-O"], .when(configuration: .debug))]

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]

func room(_ name: String, _ dependencies: [Target.Dependency], settings: [SwiftSetting] = common) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies + ["TestSupport"], path: "Tests/\(name)Tests",
        resources: resources, swiftSettings: common)
}

let package = Package(
    name: "letter",
    products: [
        .executable(name: "letter", targets: ["letter"]),
        .executable(name: "letterd", targets: ["letterd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // Libraries of the system, and the few things Swift cannot import.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .target(name: "CLinux"),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),

        // Words and files.
        room("Vocabulary", [], settings: common + [release]),
        room("Files", ["Vocabulary", "CLinux"], settings: numeric),

        // The tokenizer: pure numbers.
        room("Numerics", ["Vocabulary", "CKernels", "COpenBLAS"], settings: numeric),
        room("Autodiff", ["Numerics"], settings: numeric),
        room("Tokenizer", ["Autodiff", "Files", "Numerics", "Vocabulary"], settings: numeric),
        room("TextEmbedding", ["Vocabulary"], settings: numeric),

        // The catalog and the index.
        room("Catalog", ["CLMDB", "CXXHash", "Vocabulary"], settings: numeric),
        room("Trie", ["CXXHash", "Files", "Vocabulary"], settings: numeric),
        room(
            "SQLiteStore", ["Files", "Vocabulary", grdb, .product(name: "GRDBSQLite", package: "GRDB.swift")],
            settings: numeric),
        .target(
            name: "IdentifierIndex", dependencies: ["CXXHash", "Files", "SQLiteStore", "Trie", "Vocabulary", grdb],
            resources: [.embedInCode("index.sql")], swiftSettings: numeric),
        .target(
            name: "Generations", dependencies: ["Files", "SQLiteStore", "Tokenizer", "Vocabulary", grdb],
            resources: [.embedInCode("registry.sql")], swiftSettings: common),

        // The daemon and its control.
        room("ControlAPI", ["Vocabulary"], settings: numeric),
        room("ControlServer", ["CLinux", "ControlAPI", "Vocabulary", log] + nio, settings: numeric),
        room("ControlClient", ["ControlAPI", "Vocabulary"]),
        room(
            "Daemon",
            [
                "Catalog", "CLinux", "ControlAPI", "ControlServer", "Files", "Generations", "IdentifierIndex",
                "SQLiteStore", "Tokenizer", "Vocabulary", log, .product(name: "Yams", package: "Yams"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "letterd", dependencies: ["ControlAPI", "Daemon", "Vocabulary", arguments, log],
            swiftSettings: common),
        .executableTarget(
            name: "letter",
            dependencies: [
                "Catalog", "ControlAPI", "ControlClient", "Files", "Generations", "IdentifierIndex", "Numerics",
                "TextEmbedding", "Tokenizer", "Trie", "Vocabulary", arguments,
            ], swiftSettings: common),

        // Tests: one folder per target, and the real executables end to end.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: common),
        tests("Vocabulary", ["Vocabulary"]),
        tests("Files", ["Files", "Vocabulary"]),
        tests("Numerics", ["Numerics"]),
        tests("Autodiff", ["Autodiff", "Numerics"]),
        tests(
            "Tokenizer", ["Autodiff", "Files", "Numerics", "Tokenizer", "Vocabulary"], resources: [.copy("Fixtures")]),
        tests("TextEmbedding", ["TextEmbedding", "Vocabulary"]),
        tests("Catalog", ["Catalog", "Vocabulary"]),
        tests("Trie", ["Files", "Trie", "Vocabulary"]),
        tests("SQLiteStore", ["SQLiteStore", "Vocabulary", grdb]),
        .testTarget(
            name: "IdentifierIndexTests",
            dependencies: ["IdentifierIndex", "SQLiteStore", "TestSupport", "Trie", "Vocabulary", grdb],
            exclude: ["Fixtures"], swiftSettings: common),
        tests("Generations", ["Files", "Generations", "Tokenizer", "Vocabulary"]),
        tests("ControlAPI", ["ControlAPI", "Vocabulary"]),
        tests("Daemon", ["Daemon", "Vocabulary", log]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["Files", "TestSupport", "letter", "letterd"],
            exclude: ["Support"], swiftSettings: common),
        tests("ControlServer", ["ControlAPI", "ControlClient", "ControlServer", "Vocabulary", log] + nio),
    ]
)
