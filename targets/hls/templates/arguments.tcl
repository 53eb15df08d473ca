# Arguments are words KEY=VALUE, on the command line or in the environment variable SUBBYTE_ARGUMENTS; the latter for
# tools that hand none on. Other words of the command line are the tool's own. An unknown key is an error.
proc read_arguments {defaults} {
    global argv env
    set words [list]
    if {[info exists env(SUBBYTE_ARGUMENTS)]} { set words [split $env(SUBBYTE_ARGUMENTS)] }
    if {[info exists argv]} { set words [concat $words $argv] }
    set chosen $defaults
    foreach word $words {
        if {![regexp {^([a-z_]+)=(.*)$} $word -> key value]} { continue }
        if {![dict exists $defaults $key]} { error "argument '$word' is not known; those are [dict keys $defaults]" }
        dict set chosen $key $value
    }
    if {![string is double -strict [dict get $chosen clock_mhz]] || [dict get $chosen clock_mhz] <= 0} {
        error "clock_mhz is '[dict get $chosen clock_mhz]'; a number of megahertz above 0 is expected"
    }
    return $chosen
}

# The stages that were asked for, in the order in which they build on each other.
proc read_stages {asked known} {
    set asked [split $asked ,]
    foreach stage $asked {
        if {$stage ni $known} { error "stage '$stage' is not known; those are [join $known {, }]" }
    }
    set chosen [list]
    foreach stage $known { if {$stage in $asked} { lappend chosen $stage } }
    if {![llength $chosen]} { error "no stage is asked for; those are [join $known {, }]" }
    return $chosen
}

# The name of the function that include/@NAME@.h declares.
proc top_function {root} {
    set path [file join $root include @NAME@.h]
    set file [open $path]
    set text [read $file]
    close $file
    if {![regexp -line {^void ([A-Za-z_]\w*)\(} $text -> top]} { error "$path declares no function" }
    return $top
}
