# Stands in for a Slicer build tree, as far as a scripted extension needs one: sets what SlicerConfig.cmake would, then
# everything else is Slicer's and CTK's own: UseSlicer, the macros, the extension's description, CPack.
#
#   cmake -D Slicer_DIR=<this folder> -D SLICER_SOURCE=<Slicer checkout> -D CTK_SOURCE=<CTK checkout>
#         -D PYTHON_EXECUTABLE=<python>

foreach(name SLICER_SOURCE CTK_SOURCE PYTHON_EXECUTABLE)
  if(NOT DEFINED ${name})
    message(FATAL_ERROR "Set ${name}; see ${CMAKE_CURRENT_LIST_FILE}.")
  endif()
endforeach()

set(Slicer_CMAKE_DIR ${SLICER_SOURCE}/CMake)
set(Slicer_EXTENSIONS_CMAKE_DIR ${SLICER_SOURCE}/Extensions/CMake)
set(CTK_CMAKE_DIR ${CTK_SOURCE}/CMake)
# what only C++ modules and the launcher of a build tree need
set(_absent ${CMAKE_BINARY_DIR}/absent)
set(SlicerExecutionModel_DIR ${_absent})
set(SlicerExecutionModel_USE_FILE ${_absent}/vtkMacroKitPythonWrap.cmake)
foreach(name FindPythonQt SlicerExecutionModelConfig vtkMacroKitPythonWrap)
  file(WRITE ${_absent}/${name}.cmake "")
endforeach()
file(WRITE ${_absent}/FindCTKAppLauncher.cmake "function(ctkAppLauncherConfigureForExecutable)\nendfunction()\n")
list(PREPEND CMAKE_MODULE_PATH ${Slicer_CMAKE_DIR} ${Slicer_EXTENSIONS_CMAKE_DIR} ${CTK_CMAKE_DIR} ${_absent})

set(Slicer_USE_PYTHONQT ON)
set(Slicer_REVISION 00000)
set(Slicer_WC_REVISION 0000000)
set(Slicer_WC_ROOT https://github.com/Slicer/Slicer.git)
set(Slicer_OS linux)
set(Slicer_ARCHITECTURE amd64)
set(Slicer_MAIN_PROJECT_APPLICATION_NAME Slicer)
set(Slicer_LAUNCHER_EXECUTABLE Slicer)
set(Slicer_PYTHON_MODULE_TEST_TEMPLATES_DIR ${SLICER_SOURCE}/Base/QTCore/Testing/Python)
set(Slicer_ExternalData_DATA_MANAGEMENT_TARGET SlicerExternalData)
set(Slicer_INSTALL_ROOT ./)
set(Slicer_SHARE_DIR share/Slicer-5.12)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
set(Slicer_QTLOADABLEMODULES_LIB_DIR lib/Slicer-5.12/qt-loadable-modules)
set(Slicer_CLIMODULES_LIB_DIR lib/Slicer-5.12/cli-modules)

set(Slicer_SKIP_EXTERNAL_PROJECTS_USEFILE ON)
set(Slicer_SKIP_SET_CMAKE_C_CXX_FLAGS ON)
set(Slicer_SKIP_SlicerBlockPlatformCheck ON)
set(Slicer_USE_CTKAPPLAUNCHER OFF)

# CTK's own package files include this one
include(ctkFunctionExtractOptimizedLibrary)

# the Python that byte-compiles the scripts
set(PYTHONINTERP_FOUND ON)
set(PYTHONLIBS_FOUND ON)
set(PYTHON_LIBRARIES ${PYTHON_EXECUTABLE})

configure_file(${Slicer_CMAKE_DIR}/UseSlicer.cmake.in ${CMAKE_BINARY_DIR}/UseSlicer.cmake @ONLY)
set(Slicer_USE_FILE ${CMAKE_BINARY_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${Slicer_CMAKE_DIR}/SlicerExtensionGenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${Slicer_CMAKE_DIR}/SlicerExtensionCPack.cmake)
